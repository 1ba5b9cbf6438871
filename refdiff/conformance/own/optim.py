"""refdiff's answers: optim."""
