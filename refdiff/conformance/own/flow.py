"""refdiff's answers: flow."""
