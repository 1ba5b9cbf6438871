"""The conformance kit: vectors, runner, report, mutants and dialects."""
