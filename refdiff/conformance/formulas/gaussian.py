"""Formulas of gaussian."""
