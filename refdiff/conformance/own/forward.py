"""refdiff's answers: forward."""
