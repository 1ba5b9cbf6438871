"""refdiff's answers: unet."""
