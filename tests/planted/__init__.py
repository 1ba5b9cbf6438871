"""Wrong implementations, written without knowledge of the catalogue of mutants, on which the diagnosis is measured."""
