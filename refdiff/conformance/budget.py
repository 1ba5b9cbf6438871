"""The time limit of a search: what is tried has a fixed order, and the limit decides how far the search goes."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


class Budget:
    """A number of seconds of this thread's computing time from now, since other work of the machine is not to decide
    what is found. `cut` becomes true when more is requested.
    """

    def __init__(self, seconds: float = math.inf) -> None:
        self.seconds, self.cut = seconds, False
        self._end = time.thread_time() + seconds

    def left(self) -> bool:
        """Whether there is time left; once there is none, the search is cut."""
        self.cut = self.cut or time.thread_time() > self._end
        return not self.cut

    def within(self, candidates: Iterable[T]) -> Iterator[T]:
        """The candidates, in order, while there is time left."""
        for candidate in candidates:
            if not self.left():
                return
            yield candidate
