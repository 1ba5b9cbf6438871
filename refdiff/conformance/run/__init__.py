"""Running the test vectors against an implementation: a Python adapter, a program behind a pipe, or the pytest plugin."""
