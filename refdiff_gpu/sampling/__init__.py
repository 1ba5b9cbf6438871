"""Sampling on the device."""

from . import guidance, oracles, samplers

__all__ = ["guidance", "oracles", "samplers"]
