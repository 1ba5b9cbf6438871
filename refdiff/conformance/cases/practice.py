"""Cases that wrong implementations were found to pass without them: four channels, leaps in float32, rows far apart, paths of any scale."""

from collections.abc import Iterator

import numpy as np

from . import Case, Table, numbers
from .layers import pair


def cases() -> Iterator[Case]:
    yield from _guidance()
    yield from _steps()
    yield from _maps()
    yield from _overflows()
    yield from _layers()


def _guidance() -> Iterator[Case]:
    """Latent images of four channels, and of five: all of them are guided."""
    for shape in ((1, 2, 1, 4), (2, 1, 2, 5)):
        a, b = numbers(shape, 11), numbers(shape, 12)
        yield Case("classifier_free", {"unconditional": a, "conditional": b, "gamma": 3.0}, minimal=True)
        yield Case("classifier_free_w", {"unconditional": a, "conditional": b, "w": 2.0}, minimal=True)
        yield Case("classifier_score", {"score": a, "gradient": b, "gamma": 3.0}, minimal=True)
        yield Case("classifier_eps", {"eps": a, "gradient": b, "gamma": 3.0, "t": 2, "betas": Table("three")}, minimal=True)


def _steps() -> Iterator[Case]:
    """Learned variances in a whole reverse step; a time for each example in a variance; long leaps at eta = 1, exact to the last digits."""
    x, prediction, mix = numbers((2, 2), 13), numbers((2, 2), 14), (numbers((2, 2), 15) + 2) / 4
    for kind in ("eps", "x0", "v"):
        for t, s in ((3, 1), (2, 1)):
            inputs = {
                "prediction": prediction,
                "x_t": x,
                "t": t,
                "s": s,
                "betas": Table("three"),
                "kind": kind,
                "variance": "learned",
                "mix": mix,
            }
            yield Case("reverse_kernel", inputs, minimal=True)
    for late, early in (([3, 1, 2], [1, 0, 1]), ([3, 3, 1], [0, 2, 0])):
        times = {"t": np.array(late), "s": np.array(early), "betas": Table("three")}
        yield Case("posterior_variance", times, tolerance="each", minimal=True)
        yield Case("transition", times, tolerance="each", minimal=True)
    for t, s in ((1000, 16), (1000, 30), (1000, 59), (1000, 277), (1000, 651), (1000, 834), (999, 26), (999, 93)):
        inputs = {"prediction": prediction, "x_t": x, "t": t, "s": s, "betas": Table("cosine-1000"), "noise": numbers((2, 2), 16)}
        yield Case("ddim_step", {**inputs, "eta": 1.0, "kind": "eps"}, minimal=s == 834)


def _maps() -> Iterator[Case]:
    """Paths whose squares do not add up to 1: variance exploding, and any other; a sigmoid schedule without symmetry."""
    for signal, sigma in ((1.0, 2.5), (0.5, 0.25), (1.0, 0.125)):
        yield Case("to_flow", {"x_t": numbers((2, 2), 17), "signal": signal, "sigma": sigma}, minimal=True)
    both = {"x_t": numbers((2, 2), 17), "signal": np.array([1.0, 0.5]), "sigma": np.array([2.5, 0.25])}
    yield Case("to_flow", both, minimal=True)
    yield Case("sigmoid_betas", {"T": 12, "start": -2.0, "end": 3.5, "tau": 0.75, "beta_max": 0.999}, tolerance="each", minimal=True)


def _overflows() -> Iterator[Case]:
    """Rows and columns so far apart that one largest number for all of them overflows, or leaves 0 / 0."""
    far = np.array([[1.0, -0.5, 0.25], [-2000.0, -2000.5, -1999.0]])
    yield from pair("softmax", {"z": far}, far.shape)
    columns = np.array([[0.25, -2000.0], [-0.5, -2001.0], [1.0, -1999.5]])
    yield Case("marginal_likelihood", {"log_likelihood": columns}, tolerance="each", minimal=True)
    yield Case("importance_weighted", {"log_joint": columns, "log_q": columns[::-1] / 8}, tolerance="each", minimal=True)
    q, k, v = numbers((1, 2, 2), 18) * 48, numbers((1, 3, 2), 19) * 48, numbers((1, 3, 2), 20)
    yield from pair("scaled_dot_product", {"q": q, "k": k, "v": v, "heads": 1}, (1, 2, 2))


def _layers() -> Iterator[Case]:
    """A linear layer of tokens, a convolution of numbers that float32 cannot hold, noises that are nearly parallel."""
    x, w, b = numbers((2, 3, 2), 21), numbers((2, 3), 22), numbers((3,), 23)
    yield from pair("linear_layer", {"x": x, "w": w, "b": b}, (2, 3, 3))
    x, w, b = numbers((1, 3, 4, 2), 24) / 3, numbers((3, 3, 2, 2), 25) / 3, numbers((2,), 26) / 3
    yield from pair("conv", {"x": x, "w": w, "b": b, "stride": 1}, (1, 3, 4, 2))
    a = numbers((2, 4), 27)
    yield Case("slerp", {"a": a, "b": a + numbers((2, 4), 28) / 128, "weight": 0.25}, minimal=True)
