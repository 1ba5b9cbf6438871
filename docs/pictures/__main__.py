"""`python -m docs.pictures NAME`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from refdiff import files

from .canvas import STYLE
from .draw import PICTURES


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m docs.pictures", description="Write one of the book's pictures.")
    options.add_argument("name", choices=sorted(PICTURES), metavar="NAME", help=", ".join(PICTURES))
    options.add_argument("--out", type=Path, help="the file (default NAME.png)")
    return options


def main(argv: Sequence[str] | None = None) -> None:
    from matplotlib import rc_context

    args = parser().parse_args(argv)
    out = args.out or f"{args.name}.png"
    with rc_context(STYLE), files.replacing(out) as new:
        PICTURES[args.name]().savefig(new, dpi=150, facecolor="white")
    print(f"Written: {out}")


if __name__ == "__main__":
    main()
