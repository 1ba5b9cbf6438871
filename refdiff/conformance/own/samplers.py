"""refdiff's answers: samplers."""
