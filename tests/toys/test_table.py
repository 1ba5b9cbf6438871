"""The toy for tables: what it reads, what it writes, what it refuses."""

import csv

import numpy as np
import pytest
from PIL import Image

from refdiff import data
from toys import table


def write(path, columns, rows):
    """A CSV file of these rows."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([columns, *rows] if columns else rows)
    return path


@pytest.fixture
def moons(tmp_path):
    """Two moons in unusual units, with a column of words."""
    x, y = data.load("two_moons", 300)
    rows = [[3 * a + 100, ("low", "high, right")[c], b / 1000] for (a, b), c in zip(x, y, strict=True)]
    return write(tmp_path / "moons.csv", ["a", "half", "b"], rows)


def test_samples_have_the_columns_of_the_table(moons, tmp_path, capsys):
    """Samples with the names, units, classes and frequencies of the table, the same for the same seed; and a picture."""
    outs = [tmp_path / "one.csv", tmp_path / "two.csv"]
    for out in outs:
        arguments = [
            str(moons),
            "--label",
            "half",
            "--steps",
            "300",
            "--samples",
            "40",
            "--out",
            str(out),
            "--picture",
            str(tmp_path / "a.png"),
        ]
        assert table.main(arguments) == 0
    assert outs[0].read_bytes() == outs[1].read_bytes()
    found, original = table.read(outs[0], "half"), table.read(moons, "half")
    assert found.columns == ["a", "half", "b"] and found.classes == ["high, right", "low"] and found.x.shape == (40, 2)
    assert abs(found.labels.mean() - original.labels.mean()) <= 1 / 40
    np.testing.assert_allclose(found.x.mean(axis=0), original.x.mean(axis=0), atol=1.5 * original.x.std(axis=0).max(), rtol=0.05)
    assert (np.abs(found.x - original.x.mean(axis=0)) < 4 * original.x.std(axis=0)).all()
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size[0] > 100
    out = capsys.readouterr().out
    assert "300 rows of 2 numbers, 2 classes" in out and "energy distance of the samples to held-out rows" in out


def test_a_table_without_names(tmp_path):
    """Numbers alone: the columns are counted, also those in the notation of science."""
    rows = np.arange(60.0).reshape(20, 3) * 1e-30
    found = table.read(write(tmp_path / "plain.csv", None, rows), None)
    assert found.columns == ["column1", "column2", "column3"] and found.labels is None
    np.testing.assert_array_equal(found.x, rows)


def numbers(count=20):
    return [[i, 2 * i + i % 3] for i in range(count)]


@pytest.mark.parametrize(
    ("columns", "rows", "more", "message"),
    [
        (None, [], [], "has no rows; allowed"),
        (["a", "b"], numbers(19), [], "has 19 rows of 2 numbers; allowed: 20 rows"),
        (["a", "b"], [*numbers(), [1]], [], "line 22 has 1 entries; allowed: 2"),
        (["a", "b"], [*numbers(), [1, ""]], [], "line 22, column 'b': ''; allowed: a finite number, or --label b"),
        (["a", "b"], [*numbers(), [1, "nan"]], [], "line 22, column 'b': 'nan'; allowed: a finite number"),
        (["a", "b"], [[i, 5] for i in range(20)], [], "column 'b' has the same number in every row; allowed: columns that vary"),
        (["a", "b"], numbers(), ["--label", "c"], "argument --label: 'c'; allowed: a column, a, b"),
        (["a", "b"], numbers(), ["--stops", "3"], "Did you mean --steps?"),
    ],
)
def test_what_is_refused(tmp_path, capsys, columns, rows, more, message):
    """A wrong table or option is named by line and column, with exit code 2."""
    assert table.main([str(write(tmp_path / "a.csv", columns, rows)), *more]) == 2
    assert message in capsys.readouterr().err


def test_a_missing_file(capsys):
    """A file that does not exist is named."""
    assert table.main(["/nowhere/a.csv"]) == 2
    assert "/nowhere/a.csv" in capsys.readouterr().err
