"""The recorded gradient of the MLP against the reference implementation."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from refdiff import fast, layers, mlp, training, tree

from ..tolerances import COMPLEX_STEP, float32_gradient, relative
from ..training.small_runs import drawn, network

workers_ = pytest.mark.parametrize("workers", [1, 2, 3, 4, 16, None])


@workers_
@pytest.mark.parametrize("labelled", [None, False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_recorded_gradient_equals_reference(workers, labelled, dtype):
    """T1, N1: the recorded MLP gradient equals the reference, with labels, without labels, and without a table; earlier
    results are kept.
    """
    p = network(0, dtype, classes=0 if labelled is None else 2)
    bound = COMPLEX_STEP if dtype == np.float64 else float32_gradient(6, 33) * np.finfo(dtype).eps
    adopted = fast.adopt(training.start(p)).params
    for batch in (0, 1, 7, 7, 33):  # the second 7 finds what the first has left
        one = drawn(batch, dtype) if labelled else drawn(batch, dtype)._replace(y=None)
        loss, grads = fast.value_and_grad(mlp.mlp, adopted, one, fast, workers)
        then, (reference_loss, reference_grads) = tree.pack(grads)[0], training.value_and_grad(mlp.mlp, p, one)
        fast.value_and_grad(mlp.mlp, adopted, one._replace(target=one.target + 1), fast, workers)
        np.testing.assert_array_equal(tree.pack(grads)[0], then)
        assert abs(loss - reference_loss) <= bound * abs(reference_loss) and tree.map(np.shape, grads) == tree.map(np.shape, p)
        assert {leaf.dtype for leaf in tree.flatten(grads).values()} == {np.dtype(dtype)}
        assert relative(then, tree.pack(reference_grads)[0]) <= bound


def test_recorded_gradient_on_several_threads():
    """T1: threads that compute gradients at the same parameters at once do not share working arrays."""
    adopted, ones = (
        fast.adopt(training.start(network(0, width=64))).params,
        [drawn(600)._replace(target=drawn(600).target * i) for i in range(4)],
    )
    alone = [fast.value_and_grad(mlp.mlp, adopted, one, fast) for one in ones]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            together = list(pool.map(lambda one: fast.value_and_grad(mlp.mlp, adopted, one, fast), ones))
            for (loss, grads), (its_loss, its_grads) in zip(together, alone, strict=True):
                assert loss == its_loss and np.array_equal(grads.buffer, its_grads.buffer)


def test_other_cases_use_the_reference():
    """T1, N1: other networks and complex numbers use the reference gradient."""
    p, one = network(0), drawn(5)
    other = fast.value_and_grad(lambda *args: mlp.mlp(*args), p, one, layers)
    shifted = tree.map(lambda leaf: leaf + 1e-30j, p)
    for (loss, grads), (reference_loss, reference_grads) in (
        (other, training.value_and_grad(mlp.mlp, p, one)),
        (
            fast.value_and_grad(mlp.mlp, p, one._replace(x=one.x.astype(np.float32)), fast),
            training.value_and_grad(mlp.mlp, p, one._replace(x=one.x.astype(np.float32)), fast),
        ),
    ):
        assert loss == reference_loss and all(
            np.array_equal(a, b) for a, b in zip(tree.flatten(grads).values(), tree.flatten(reference_grads).values(), strict=True)
        )
    assert np.iscomplexobj(mlp.mlp(shifted, one.x, one.clock, one.y, fast)[0])
