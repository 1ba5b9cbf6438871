"""Output of the command: the report on standard output, everything else on standard error."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence

from ..vectors.files import Vector


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """The output of an implementation is not part of the report: what is written to file descriptor 1 goes to 2 meanwhile."""
    saved = []
    with contextlib.suppress(OSError, AttributeError):  # there may be no standard output or error
        sys.stdout.flush()
        saved.append(os.dup(1))
        os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        for descriptor in saved:
            os.dup2(descriptor, 1)
            os.close(descriptor)


def printed(text: str) -> None:
    """Print text; what the encoding of standard output lacks is escaped. A reader that has gone, such as `head`, is no error."""
    if sys.stdout is None:
        return
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """A line on stderr while something goes on, if that is a terminal."""
    shown = sys.stderr is not None and sys.stderr.isatty()
    if shown:
        print(f"{what} ...", end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def progress(vectors: Sequence[Vector], name: str) -> Iterable[Vector]:
    """The vectors, with a progress bar on stderr if that is a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        return vectors
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        return _counted(vectors, name)
    bar: Iterable[Vector] = tqdm(vectors, desc=name, unit=" vectors", dynamic_ncols=True, leave=False)
    return bar


def _counted(vectors: Sequence[Vector], name: str) -> Iterator[Vector]:
    for number, vector in enumerate(vectors, 1):
        if number % 20 == 0:
            print(f"\r{name}: {number} of {len(vectors)}", end="", file=sys.stderr, flush=True)
        yield vector
    print("\r\033[K", end="", file=sys.stderr, flush=True)
