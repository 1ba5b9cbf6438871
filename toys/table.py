"""Samples like the rows of a table: `python -m toys.table data.csv` trains a flow model on the rows and writes samples.csv.

The table is a CSV file with a line of column names or without. Every column holds numbers, except the one that `--label` names: its
entries, any words, are the classes. Every tenth row is held out; the energy distance of the samples to these rows is printed beside
that of the other rows. Exit code 0, 2 for wrong usage, 130 if interrupted.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import refdiff as rd
from refdiff import fast, files, flow, metrics, mlp, plots, training
from refdiff.arrays import Array, Model
from refdiff.demo.experiment import progress_bar
from refdiff.options import Parser, integer

SHOWN = 2000  # rows that are compared and drawn, at most


class Table(NamedTuple):
    """Rows x (N, D) of numbers, labels (N,) or None, the names of the columns and of the classes, and the label's column or None."""

    x: Array
    labels: Array | None
    columns: list[str]
    classes: list[str]
    label: int | None


def read(path: Path, label: str | None) -> Table:
    """The table in a CSV file; raises ValueError with the line and the column of what is no number."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = [(reader.line_num, row) for reader in [csv.reader(file)] for row in reader if row]
    if not lines:
        raise ValueError(f"{path} has no rows; allowed: a line of names, and lines of numbers")
    columns, lines = _columns(lines)
    if label is not None and label not in columns:
        raise ValueError(f"argument --label: {label!r}; allowed: a column, {', '.join(columns)}")
    for number, row in lines:
        if len(row) != len(columns):
            raise ValueError(f"line {number} has {len(row)} entries; allowed: {len(columns)}, as the first line")
    place = None if label is None else columns.index(label)
    x = np.array([[_number(row[i], n, columns[i]) for i in range(len(columns)) if i != place] for n, row in lines])
    if len(x) < 20 or x.shape[1] < 1:
        raise ValueError(f"{path} has {len(x)} rows of {x.shape[1]} numbers; allowed: 20 rows or more, a number or more in each")
    constant = [name for name, spread in zip([c for c in columns if c != label], np.ptp(x, axis=0), strict=True) if spread == 0]
    if constant:
        raise ValueError(f"column {constant[0]!r} has the same number in every row; allowed: columns that vary")
    if place is None:
        return Table(x, None, columns, [], None)
    classes, labels = np.unique([row[place] for _, row in lines], return_inverse=True)
    return Table(x, labels, columns, [str(each) for each in classes], place)


def _columns(lines: list[tuple[int, list[str]]]) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The names of the columns, column1 and so on without a line of names, and the lines below them."""
    first = lines[0][1]
    try:
        return [f"column{i}" for i, _ in enumerate(map(float, first), 1)], lines
    except ValueError:
        return [name.strip() for name in first], lines[1:]


def _number(text: str, line: int, column: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"line {line}, column {column!r}: {text!r}; allowed: a finite number, or --label {column}")
    return value


def fit(x: Array, labels: Array | None, classes: int, steps: int, seed: int) -> Model:
    """A model of the velocity on the straight path, trained on rows of mean 0 and standard deviation 1."""
    config = training.Config("velocity", steps, 256, warmup=max(1, steps // 20), classes=max(1, classes), seed=seed)
    params = mlp.init(seed, inputs=x.shape[1], classes=classes)
    bar = progress_bar(None, "training", steps)
    for state, _ in training.train(training.start(params), x.astype(np.float32), labels, flow.straight, config, L=fast):  # noqa: B007
        bar.update()
    bar.close()
    return training.as_model(state.averaged(config), flow.straight, L=fast)


def shares(labels: Array | None, count: int) -> Array | None:
    """Labels of `count` samples, as frequent as in the data."""
    return None if labels is None else np.sort(labels)[np.arange(count) * len(labels) // count]


def write(path: Path, table: Table, x: Array, labels: Array | None) -> None:
    """A CSV file with the columns of the table."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    for i, row in enumerate(x):
        entries: list[object] = [f"{value:.8g}" for value in row]
        if labels is not None and table.label is not None:
            entries.insert(table.label, table.classes[labels[i]])
        writer.writerow(entries)
    files.replace(path, text.getvalue().encode())


def run(arguments: argparse.Namespace) -> int:
    """Read, train, sample, compare, write."""
    table = read(arguments.table, arguments.label)
    mean, deviation = table.x.mean(axis=0), table.x.std(axis=0)
    x, held = (table.x - mean) / deviation, np.arange(len(table.x)) % 10 == 9
    known = None if table.labels is None else table.labels[~held]
    print(f"{len(x):,} rows of {x.shape[1]} numbers{f', {len(table.classes)} classes' if table.classes else ''}", flush=True)
    model = fit(x[~held], known, len(table.classes), arguments.steps, arguments.seed)
    labels = shares(table.labels, arguments.samples)
    y = rd.generate(model, flow.straight, (arguments.samples, x.shape[1]), 25, seed=arguments.seed, labels=labels).astype(float)
    write(arguments.out, table, y * deviation + mean, labels)
    real = x[held][:SHOWN]
    print(f"energy distance of the samples to held-out rows  {metrics.energy_distance(y[:: -(-len(y) // SHOWN)], real, True):.4f}")
    print(f"energy distance of training rows to them         {metrics.energy_distance(x[~held][:SHOWN], real, True):.4f}")
    print(f"samples    {arguments.out}")
    if arguments.picture and x.shape[1] > 1:
        plots.samples(y[:SHOWN, :2], None if labels is None else labels[:SHOWN], x[:SHOWN, :2]).save(arguments.picture)
        print(f"picture    {arguments.picture}, the first two columns")
    return 0


def parser() -> argparse.ArgumentParser:
    """The options."""
    parser = Parser("python -m toys.table", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="a CSV file")
    parser.add_argument("--label", metavar="NAME", help="the column that holds the classes")
    parser.add_argument("--steps", type=integer(1, 10**7), default=3000, metavar="N", help="training steps (default 3000)")
    parser.add_argument("--samples", type=integer(2, 10**7), default=1000, metavar="N", help="number of samples (default 1000)")
    parser.add_argument("--seed", type=integer(0, 2**64 - 1), default=0, metavar="N", help="seed of all random numbers (default 0)")
    parser.add_argument("--out", type=Path, default=Path("samples.csv"), metavar="FILE", help="file of the samples (default ./samples.csv)")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the first two columns of the samples, on those of the data")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    try:
        return run(parser().parse_args(argv))
    except SystemExit as stop:  # argparse exits this way, after printing its message
        return int(stop.code or 0)
    except (OSError, ValueError) as error:
        print(f"python -m toys.table: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
