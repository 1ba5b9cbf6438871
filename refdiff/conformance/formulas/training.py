"""Formulas of training."""
