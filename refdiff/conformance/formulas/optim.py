"""Formulas of optim."""
