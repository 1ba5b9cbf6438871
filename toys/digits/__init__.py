"""Handwritten digits by diffusion in plain NumPy: `python -m toys.digits`."""
