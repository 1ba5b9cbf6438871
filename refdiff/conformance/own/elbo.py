"""refdiff's answers: elbo."""
