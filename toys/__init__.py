"""Programs that show what refdiff can do; they are not part of the package."""
