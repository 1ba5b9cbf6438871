"""Dialects: the conventions of other libraries, with converters to refdiff's and back."""

from .dialect import CONVENTIONS, Dialect
from .features import Features
from .table import DIALECTS

__all__ = ["CONVENTIONS", "DIALECTS", "Dialect", "Features"]
