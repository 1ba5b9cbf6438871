"""refdiff's answers: schedules."""
