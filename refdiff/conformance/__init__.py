"""The conformance kit: vectors for every equation, a runner for any implementation, and a diagnosis by known and composed mistakes."""
