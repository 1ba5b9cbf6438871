"""refdiff's answers: guidance."""
