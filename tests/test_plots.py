"""Pictures in one line: they hold what they should, show themselves in a notebook, and refuse what they cannot draw."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from refdiff import data, oracles, orders, plots, rng, schedules

MIXTURE = oracles.gaussian([0.0, 0.0], np.eye(2))
POINTS, LABELS = data.load("two_moons", 50)
PICTURES = {
    "schedule": lambda: plots.schedule(schedules.linear(100)),
    "schedules": lambda: plots.schedule(schedules.linear(100), schedules.cosine(50), names=("linear", "cosine")),
    "orders": lambda: plots.orders(("ddim", "rk4"), (8, 16)),
    "samples": lambda: plots.samples(POINTS, LABELS, POINTS + 0.1, 3.0),
    "field": lambda: plots.field(MIXTURE.model(schedules.linear(100), "score"), 50),
    "grid": lambda: plots.grid(rng.normal(0, 5, (6, 7, 3))),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_show_and_save_themselves(name, tmp_path):
    """A picture is a PNG in a notebook and in a file; the same numbers give the same bytes."""
    picture = PICTURES[name]()
    shown = Image.open(io.BytesIO(picture._repr_png_()))
    assert shown.format == "PNG" and len(np.unique(np.asarray(shown))) > 2
    for path in "a.png", "b.png":
        PICTURES[name]().save(tmp_path / path)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    picture.save(str(tmp_path / "c.jpeg"))
    with Image.open(tmp_path / "c.jpeg") as read:
        assert read.format == "JPEG"


def test_schedule_curves():
    """The curves are signal, noise and the logarithm of the SNR of each schedule."""
    both = schedules.linear(100), schedules.cosine(50)
    left, right = plots.schedule(*both).figure.axes
    for i, each in enumerate(both):
        for line, y in zip(left.lines[2 * i : 2 * i + 2], (each.signal, each.sigma), strict=True):
            np.testing.assert_array_equal(line.get_ydata(), y)
        np.testing.assert_array_equal(right.lines[i].get_xydata(), np.stack([np.arange(1, each.T + 1) / each.T, each.log_snr[1:]], 1))


def test_orders_are_drawn():
    """A line for each solver: its errors over the model calls; counts that are no whole number of steps are left out."""
    (ax,) = plots.orders(("ddim", "rk4"), (6, 16)).figure.axes
    ddim, rk4 = ax.lines
    assert ddim.get_label() == "ddim, order 1" and list(ddim.get_xdata()) == [6, 16] and list(rk4.get_xdata()) == [16]
    assert list(ddim.get_ydata()) == [orders.error("ddim", 6), orders.error("ddim", 16)] and rk4.get_ydata() == [orders.error("rk4", 4)]


def test_field_points_to_the_data():
    """The score of a standard Gaussian points to the origin from everywhere."""
    arrows = plots.field(MIXTURE.model(schedules.linear(100), "score"), 50, limit=2.0, count=4).figure.axes[0].collections[0]
    assert len(arrows.U) == 16 and (arrows.U * arrows.X + arrows.V * arrows.Y < 0).all()


def test_grid_places_every_pixel():
    """Image i stands in row i // columns, twice as large, with a white margin; negatives for ink; missing images are white."""
    x = np.arange(5)[:, None, None, None] * 0.3 - 0.9 + np.zeros((5, 3, 4, 1))
    levels = np.rint((x[:, 0, 0, 0] + 1) * 127.5)
    for ink in False, True:
        tile = plots.tile(x, 2, ink)
        assert tile.shape == (2 * 2 * 7, 3 * 2 * 8)
        for i in range(6):
            cell = tile[14 * (i // 3) :, 16 * (i % 3) :][:14, :16]
            expected = 255 if i == 5 else 255 - levels[i] if ink else levels[i]
            assert (cell[4:10, 4:12] == expected).all() and cell[3, 4] == cell[4, 3] == cell[10, 4] == cell[4, 12] == 255
    assert [plots.tile(x[:n]).shape for n in (1, 5)] == [(14, 16), (28, 48)]


@pytest.mark.parametrize("x", [np.linspace(-1, 1, 24).reshape(1, 2, 4, 3), POINTS], ids=["images", "points"])
def test_gif(x, tmp_path):
    """One frame for each state; the last one is held for a second."""
    plots.gif((x * scale for scale in (0.2, 0.5, 1.0)), tmp_path / "film.gif", fps=10)
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == 3 and film.info["duration"] == 100
        film.seek(2)
        assert film.info["duration"] == 1000


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.schedule(), "schedules = (); allowed: one Schedule or more"),
        (lambda: plots.schedule(1), "schedules = (1,); allowed: one Schedule or more"),
        (lambda: plots.samples(np.zeros((3, 3))), "x has shape (3, 3); allowed: (N, 2)"),
        (lambda: plots.samples(np.full((3, 2), np.nan)), "x holds NaN"),
        (lambda: plots.samples(POINTS, LABELS[:3]), "labels has shape (3,); allowed: (50,)"),
        (lambda: plots.samples(POINTS, data=POINTS[:, :1]), "data has shape (50, 1); allowed: (N, 2)"),
        (lambda: plots.field(lambda x, t: x[:, 0], 1), "model(x, t) has shape (441,); allowed: (N, 2)"),
        (lambda: plots.field(lambda x, t: x, 1, limit=0.0), "limit = 0.0; allowed:"),
        (lambda: plots.grid(np.zeros((3, 4))), "x has dtype float64, shape (3, 4); allowed: real numbers, (N, H, W, C)"),
        (lambda: plots.grid(np.zeros((3, 4, 4, 1)), 4), "rows = 4; allowed: 1..3"),
        (lambda: plots.gif([], "a.gif"), "states has no states; allowed: one or more"),
        (lambda: plots.gif([POINTS], "a.gif", fps=0), "fps = 0; allowed: 1..50"),
    ],
)
def test_what_is_refused(call, message):
    """A wrong argument is named."""
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        call()
