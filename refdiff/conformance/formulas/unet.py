"""Formulas of unet."""
