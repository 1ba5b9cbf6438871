"""A device emulated with NumPy: an interpreter of kernel bodies, and an array that refuses what CuPy refuses."""
