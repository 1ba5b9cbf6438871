"""refdiff's answers: predict."""
