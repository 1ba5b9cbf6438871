"""Formulas of latent."""
