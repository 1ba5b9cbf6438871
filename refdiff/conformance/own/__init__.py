"""refdiff's own adapter: the operations with refdiff's functions, a module for each area."""

from __future__ import annotations

import importlib
import inspect

from ... import __version__
from ..operations import AREAS, operations


class Adapter:
    """All operations, computed by refdiff in float64."""

    name, version, precision = "refdiff", __version__, "float64"


class Float32(Adapter):
    """All operations, computed by refdiff in float32."""

    precision = "float32"


for _area in AREAS:
    for _name, _function in vars(importlib.import_module(f"{__name__}.{_area}")).items():
        if inspect.isfunction(_function) and _name in operations():
            setattr(Adapter, _name, staticmethod(_function))
