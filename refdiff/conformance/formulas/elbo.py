"""Formulas of elbo."""
