"""Densities of the times at which a flow is trained."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr

from refdiff import flow, flow_times, rng, training


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.5, 0.6), (-1.0, 2.0)])
def test_density_of_logit_normal_times(mean, std):
    """M4: the density integrates to 1, and its distribution function is that of the drawn times."""
    assert abs(quad(flow_times.logit_normal_density, 0, 1, (mean, std), epsabs=1e-12, points=[0.5])[0] - 1) < 1e-9
    below = 0.3
    share = ndtr((np.log(below / (1 - below)) - mean) / std)
    assert abs(quad(flow_times.logit_normal_density, 0, below, (mean, std), epsabs=1e-12)[0] - share) < 1e-9
    z = np.array([-2.0, 0.3, 1.5])
    drawn = flow_times.draw_logit_normal(z, mean, std)
    assert np.allclose(np.log(drawn / (1 - drawn)), mean + std * z, rtol=1e-12)


def test_a_path_with_logit_normal_times():
    """M4, T1: training draws the quantiles; the path itself stays the same."""
    path, uniform = flow_times.logit_normal(flow.trigonometric, 0.5, 0.8), np.array([1e-9, 0.25, 0.5, 0.999])
    t = path.draw_time(uniform)
    assert np.allclose(ndtr((np.log(t / (1 - t)) - 0.5) / 0.8), uniform, rtol=1e-9)
    assert path.signal_sigma(0.3) == flow.trigonometric.signal_sigma(0.3) and path.name == "trigonometric"
    data = rng.normal(0, 6, (2,))
    config = training.Config("velocity", steps=1, batch=4, seed=2)
    batch = training.draw(1, data, None, path, config)
    clock = training.draw(1, data, None, flow.trigonometric, config).clock / 1000
    assert np.allclose(batch.clock, 1000 * path.draw_time(clock), rtol=1e-12)


def test_wrong_arguments():
    """M4: errors name the argument, its value and what is allowed."""
    for call, message in (
        (lambda: flow_times.logit_normal(3), "path = 3; allowed: "),
        (lambda: flow_times.logit_normal(std=-1.0), "std = -1.0; allowed: "),
        (lambda: flow_times.logit_normal().draw_time(np.zeros(2)), "uniform = array"),
        (lambda: flow_times.logit_normal_density(np.array([0.5, 1.0])), "1 - t = "),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            call()
