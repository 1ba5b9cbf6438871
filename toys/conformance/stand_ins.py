"""Stand-ins for modules that a library imports for other purposes than its equations, so that these need not be installed."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock


class _Finder:
    """Finds a module of these names, and all below it, as a mock."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return importlib.util.spec_from_loader(name, self) if name.split(".")[0] in self.names else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> Any:
        return MagicMock(__path__=[], __spec__=spec)

    def exec_module(self, module: ModuleType) -> None: ...


def stand_in_for(*names: str) -> None:
    """Let each of these modules be imported as a mock, if it is not installed."""
    missing = [name for name in names if name not in sys.modules and importlib.util.find_spec(name) is None]
    sys.meta_path.append(_Finder(missing))  # type: ignore[arg-type]
