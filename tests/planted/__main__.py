"""The score of the diagnosis on all planted implementations: `python -m tests.planted [NAME ...]`."""

import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from .score import half, planted, verdict

WORDS = ("right", "partly", "unnamed", "wrong", "unfound")


def main(names):
    """Print a line for each implementation, and the counts by area and half."""
    listed = [(area, cls) for area, cls in planted() if not names or {area, cls.__name__} & set(names)]
    counts = {}
    with ProcessPoolExecutor() as pool:
        for found, (area, cls) in zip(pool.map(verdict, *zip(*listed, strict=True)), listed, strict=True):
            alarm = found.word if cls.truth else "silent" if found.word == "unfound" else "alarm"
            counts.setdefault((half(cls), area), Counter())[alarm] += 1
            said = "; ".join(f"{'?' if right is None else '+' if right else '-'} {name}" for name, right in found.causes[:4])
            print(
                f"{half(cls)} {alarm:8} {area}.{cls.__name__} [{cls.kind}] {found.explained}/{found.failures}: {cls.truth} | {said}",
                flush=True,
            )
    for part in (0, 1):
        for area in sorted({area for _, area in counts}):
            print(part, area, dict(counts.get((part, area), {})))
        total = sum((count for (each, _), count in counts.items() if each == part), Counter())
        print(part, "all", dict(total))


if __name__ == "__main__":
    main(sys.argv[1:])
