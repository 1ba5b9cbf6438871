"""The page on numerics: refdiff's errors are within the tolerances, and the naive formulas fail where the page says."""

import re

import numpy as np
import pytest

from docs.build import accuracy, measurement
from docs.build.inventory import ROOT

PAGE = (ROOT / "docs" / "numerics.md").read_text()


@pytest.mark.parametrize("name", accuracy.QUANTITIES)
def test_every_row_is_within_its_tolerance(name):
    """refdiff's formula is within the tolerance everywhere; the naive one is not, except for the product, which is as accurate."""
    found = accuracy.measure(name)
    naive, ours = (float(np.max(errors)) for errors in found.errors)
    assert len(found.x) == len(found.errors[0]) == len(found.errors[1])
    assert ours <= found.tolerance
    assert naive <= found.tolerance if name == "alpha_bar" else naive > 2 * found.tolerance


def test_the_subtraction_loses_near_the_data():
    """1 - alpha_bar is inaccurate at small t only, the DDIM root at large t, and a logarithm near -10 costs refdiff's alpha_bar a few ulp."""
    naive, _ = accuracy.measure("one_minus_alpha_bar").errors
    assert naive[:10].max() > 1000 and naive[-500:].max() < 8
    root, _ = accuracy.measure("ddim_root").errors
    assert root[-1] > 1e3 * root[:10].max()
    product, ours = accuracy.measure("alpha_bar").errors
    assert ours[:100].max() < 2 < ours[-100:].max() < 10 and product.max() < 64


def test_a_long_stride_cancels_in_float32():
    """1 - alpha_bar_s - sigma^2 is 0 or below in float32 at eta = 1, s = 1 and large t."""
    alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000, dtype=np.float32))
    tilde = (1 - alpha_bar[0]) / (1 - alpha_bar[1:]) * (1 - alpha_bar[1:] / alpha_bar[0])
    assert (1 - alpha_bar[0] - tilde).min() <= 0


def test_pixels_far_to_the_right_have_probability_0():
    """Beyond 8.3 standard deviations on the right, and only there, the naive probability is 0, as on the page."""
    found = accuracy.measure("discretized_likelihood")
    naive, _ = found.errors
    assert np.all(np.isfinite(naive) == (found.x < 8.3)) and naive[found.x < 0].max() < found.tolerance
    assert "8.3 standard deviations" in PAGE


def test_arc_cosines_lose_half_of_the_digits():
    """At a gap g the arc cosine errs by about eps / g of the angle, which a quarter turn divides by g again; half chords do not."""
    found = accuracy.measure("slerp")
    naive, ours = found.errors
    assert naive[0] > 1e3 * ours[0] and np.all(ours <= 8 * accuracy.EPS / np.minimum(found.x, np.sin(found.x)))


def test_expm1_alone_would_cancel_below_the_series():
    """e^d - 1 - d by expm1 is as bad as the naive form at d = 1e-6, and good at 0.1, where refdiff begins to take it."""
    for d, low, high in ((1e-6, 1e-12, 1), (0.1, 0, 1e-14)):
        with accuracy.mp.workdps(50):
            true = accuracy.mp.expm1(accuracy.mp.mpf(d)) - accuracy.mp.mpf(d)
            error = float(abs((accuracy.mp.mpf(float(np.expm1(d))) - accuracy.mp.mpf(d)) / true - 1))
        assert low <= error <= high


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.95, "0.95"), (8, "8"), (1800.4, "1,800"), (3.24e-13, "3.2 · 10⁻¹³"), (1e-13, "10⁻¹³"), (1.06e8, "1.1 · 10⁸"), (0, "0")],
)
def test_figures(number, text):
    """Numbers in the format of the table."""
    assert measurement.figure(number) == text


def test_the_page_types_no_measured_number():
    """No sentence of the page has a figure in ulp: the build measures them."""
    assert not re.search(r"\d ulp", PAGE.replace("within 4 ulp of the rounded float64 result", ""))
