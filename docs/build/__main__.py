"""`python -m docs.build`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .inventory import ROOT, BookError
from .site import build


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m docs.build", description="Build the book as a site of HTML pages, without a network.")
    parser.add_argument("--out", type=Path, default=ROOT / "site", help="folder of the site (default site/)")
    out = parser.parse_args().out
    try:
        print(build(out))
    except BookError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Written: {out / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
