"""Diagnosis: mutants of every formula, and the search for those that reproduce an implementation's wrong answers."""
