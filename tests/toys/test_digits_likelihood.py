"""The likelihood of digits by the flow of a network."""

import numpy as np
import pytest

from refdiff import flow, gaussian, layers, rng, tree, unet
from refdiff import likelihood as exact
from refdiff.data.images import Images
from toys.digits import likelihood
from toys.digits.spec import Spec, UsageError

SPEC = Spec("unet", "velocity", "straight", 8, 1, "", size=(4, 4, 1), classes=3, times="logit-normal")


def small_digits():
    levels = (255 * rng.uniform(1, 6, 16)).astype(np.uint8).reshape(6, 4, 4, 1)
    labels = np.array([0, 1, 2, 0, 1, 2])
    return Images(levels, labels, levels, labels, "random")


def test_of_a_network_that_does_not_move_anything():
    """C8: for the velocity 0 the density is that of the noise, at the data with their uniform noise."""
    params = tree.map(np.zeros_like, SPEC.params(0))
    found = likelihood.flow_likelihood(params, SPEC, small_digits(), 6, seed=3)
    x = SPEC.to_model(small_digits().test, np.float64).reshape(6, 16) + 2 / 255 * (rng.uniform(3, 6, 16, 0, rng.NOISE) - 0.5)
    bits = exact.bits_of_density(gaussian.log_density(x, 0 * x, 1.0), 16)
    assert found.mean == pytest.approx(bits.mean(), rel=1e-6) and found.error == pytest.approx(bits.std(ddof=1) / 6**0.5, rel=1e-6)


def test_rate_of_a_network():
    """C9: velocity and divergence are those of the reference network, which is differentiated by a complex step along the same signs."""
    params = tree.map(lambda p: p + 0.1 * rng.normal(9, len(p), p.shape[1:]).astype(np.float32), SPEC.params(0))
    wide, labels = tree.map(lambda p: p.astype(np.float64), params), small_digits().test_labels
    x, probe = (rng.normal(i, 6, (4, 4, 1), dtype=np.float32) for i in (1, 2))

    def field(x, t):
        return unet.unet(wide, x, flow.straight.clock(np.full(6, t)), labels, layers)[0]

    found = likelihood._rate(params, SPEC)(np.stack([x.reshape(6, 16), probe.reshape(6, 16)], axis=1), 0.7, labels)
    x, probe = x.astype(np.float64), probe.astype(np.float64)
    assert np.allclose(found[:, :16], field(x, 0.7).reshape(6, 16), rtol=1e-3, atol=1e-3)
    assert np.allclose(found[:, 16], exact.hutchinson(field, x, 0.7, probe), rtol=1e-3, atol=1e-3)


def test_of_other_runs():
    """C8: a run of another kind, or of padded images, is refused."""
    for spec in (Spec("unet", "eps", "linear", 8, 1, ""), Spec("unet", "velocity", "straight", 8, 1, "", size=(5, 4, 1))):
        with pytest.raises(UsageError, match="--likelihood: allowed for a run of kind velocity"):
            likelihood.flow_likelihood({}, spec, small_digits(), 2, seed=0)
