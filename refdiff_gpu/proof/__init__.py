"""Proofs without a GPU: lint, compilers, cost, and the report that compares every equation with the host."""
