"""Cases of unet."""

from collections.abc import Iterator

from . import Case


def cases() -> Iterator[Case]:
    yield from ()
