"""Test vectors: one folder of JSON files per area, and the code that reads and writes them."""

from .files import FOLDER, FORMAT, LEVELS, Vector, decode, encode, load

__all__ = ["FOLDER", "FORMAT", "LEVELS", "Vector", "decode", "encode", "load"]
