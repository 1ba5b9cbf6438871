"""refdiff's answers: training."""
