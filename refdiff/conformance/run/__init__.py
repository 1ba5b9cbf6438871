"""Run the test vectors against an implementation: a Python adapter, or a program behind a pipe; with `refdiff check` or
with pytest.
"""
