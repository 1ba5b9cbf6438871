"""The conformance kit: test vectors for every equation, a runner for any implementation, and a diagnosis of wrong
answers by mutants.
"""
