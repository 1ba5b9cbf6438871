"""Formulas of layers."""
