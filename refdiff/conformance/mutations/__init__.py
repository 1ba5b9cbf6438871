"""Mutants: the formulas, inputs and outputs with a change, known or generated."""
