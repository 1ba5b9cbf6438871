"""Mutations of the expressions of a formula."""
