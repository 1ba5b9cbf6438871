"""Every equation once more, written straight from the papers, for any arithmetic: what vectors and mutants are made of.

Independent of `refdiff`, on purpose: nothing here imports it, and nothing here cares about speed or rounding. A function is an
operation that an implementation may offer; its docstring starts with the equations' ids and the outputs' names. Conventions are those
of docs/vectors.md: t = 0 is clean data, betas (T,) starts with beta_1, data is (B, ...).
"""
