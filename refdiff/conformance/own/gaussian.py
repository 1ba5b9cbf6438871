"""refdiff's answers: gaussian."""
