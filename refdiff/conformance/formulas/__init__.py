"""The formulas: every equation a second time, written from the papers, for any arithmetic. Vectors and mutants are made
from them.

They are independent of the rest of `refdiff` and ignore speed and rounding. A function whose docstring starts with
equation ids and names of outputs is an operation that an implementation may have. The conventions are those of
docs/vectors.md: t = 0 is clean data, betas (T,) starts with beta_1, data is (B, ...).
"""
