"""Parts of areas whose cases fill more than one module."""
