"""refdiff's answers: latent."""
