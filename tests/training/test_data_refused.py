"""Data and labels that do not fit a network are refused by name where training begins."""

import re

import numpy as np
import pytest

from refdiff import fast, flow, layers, mlp, training, unet

PARAMS = mlp.init(0, classes=2)
PLAIN = mlp.init(0)
POINTS = np.ones((5, 2), np.float32)
LABELS = np.array([0, 1, 1, 0, 1])
CONFIG = training.Config(steps=2, batch=4, kind="velocity")


@pytest.mark.parametrize("L", [layers, fast], ids=["layers", "fast"])
@pytest.mark.parametrize(
    "params, data, labels, message",
    [
        (PLAIN, np.ones((5, 1), np.float32), None, "x has 1 columns, the network was made for inputs = 2; allowed: data of 2 columns"),
        (PLAIN, np.ones((5, 3), np.float32), None, "x has 3 columns, the network was made for inputs = 2; allowed: data of 2 columns"),
        (PARAMS, np.ones((5, 4), np.float32), LABELS, "x has 4 columns, the network was made for inputs = 2; allowed: data of 2 columns"),
        (PLAIN, np.ones((5, 4, 4, 1), np.float32), None, "x has shape (4, 4, 4, 1), the network was made for inputs = 2; allowed: data"),
        (PARAMS, POINTS, LABELS.astype(str), "labels = array(['0', '1', '1', '0', '1'], dtype='<U21'); allowed: integers"),
        (PARAMS, POINTS, LABELS + 0.5, "labels = array([0.5, 1.5, 1.5, 0.5, 1.5]); allowed: integers"),
        (PARAMS, POINTS, LABELS[:3], "data has 5 examples, labels 3; allowed"),
        (PARAMS, POINTS.astype(int), LABELS, "data is an array of dtype int64"),
        (PARAMS, POINTS.tolist(), LABELS, "data is [["),
        (PARAMS, np.ma.masked_array(POINTS, POINTS > 0), LABELS, "data is an array of dtype float32"),
    ],
)
def test_refused(params, data, labels, message, L):
    """The first step raises an error that names the data, and says what the network was made for."""
    with pytest.raises((TypeError, ValueError), match="^" + re.escape(message)):
        next(training.train(training.start(params), data, labels, flow.straight, CONFIG, L=L))


def test_columns_that_could_be_times():
    """An MLP without labels does not know how many of its rows are time features: the shape of its output decides."""
    with pytest.raises(ValueError, match=r"^data has shape \(4, 4\); allowed: \(4, 2\)"):
        next(training.train(training.start(PLAIN), np.ones((5, 4), np.float32), None, flow.straight, CONFIG))


def test_points_for_images():
    """A U-Net refuses points."""
    params = unet.init(0, channels=1, base=8, multipliers=(1,), embedding=8)
    with pytest.raises(ValueError, match=r"^x has shape"):
        next(training.train(training.start(params), POINTS, None, flow.straight, CONFIG, net=unet.unet))
