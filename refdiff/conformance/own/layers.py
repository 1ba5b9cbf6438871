"""refdiff's answers: layers."""
