"""The op sets `layers`, `fast` and `refdiff_gpu.layers` refuse the same arguments with the same words, alone and inside a network."""

import numpy as np
import pytest

import refdiff_gpu
from refdiff import fast, layers, mlp, tree, unet
from refdiff.networks import classifier

IMAGE = np.ones((2, 4, 4, 8), np.float32)
ROWS = np.ones((3, 8), np.float32)
KERNEL = {"w": np.ones((3, 3, 8, 8), np.float32), "b": np.ones(8, np.float32)}
AFFINE = {"scale": np.ones(8, np.float32), "shift": np.ones(8, np.float32)}
MODULATION = {"w": np.ones((4, 16), np.float32), "b": np.ones(16, np.float32)}
EMB = np.ones((2, 4), np.float32)
OPS = {  # the call of an op on x, and a right x
    "linear": (lambda L, x: L.linear({"w": np.ones((8, 5), np.float32), "b": np.ones(5, np.float32)}, x), ROWS),
    "silu": (lambda L, x: L.silu({}, x), ROWS),
    "conv": (lambda L, x: L.conv(KERNEL, x), IMAGE),
    "conv_up": (lambda L, x: L.conv_up(KERNEL, x), IMAGE),
    "group_norm": (lambda L, x: L.group_norm(AFFINE, x, 4), IMAGE),
    "group_norm_silu": (lambda L, x: L.group_norm_silu(AFFINE, x, 4), IMAGE),
    "adaptive_group_norm": (lambda L, x: L.adaptive_group_norm(MODULATION, x, EMB, 4), IMAGE),
    "adaptive_group_norm_silu": (lambda L, x: L.adaptive_group_norm_silu(MODULATION, x, EMB, 4), IMAGE),
}
OTHERS = [  # other arguments than x
    lambda L: L.group_norm(AFFINE, IMAGE, 3),
    lambda L: L.group_norm(AFFINE, IMAGE, 4.0),
    lambda L: L.group_norm_silu(AFFINE, IMAGE, 0),
    lambda L: L.adaptive_group_norm(MODULATION, IMAGE, EMB[:1], 4),
    lambda L: L.adaptive_group_norm_silu(MODULATION, IMAGE, EMB.astype(object), 4),
    lambda L: L.conv(KERNEL, IMAGE, 3),
    lambda L: L.time_features(np.ones(3), 5),
    lambda L: L.time_features(np.array([1.0, np.nan]), 4, np.float32),
    lambda L: L.time_features(np.ones(3), 4, object),
    lambda L: L.embedding({"table": np.ones((3, 4), np.float32)}, np.array([0, 3])),
]
WRONG = {
    "objects": lambda x: x.astype(object),
    "integers": lambda x: x.astype(np.int64),
    "strings": lambda x: x.astype(str),
    "half precision": lambda x: x.astype(np.float16),
    "masked": lambda x: np.ma.masked_array(x, x > 0),
    "a list": lambda x: x.tolist(),
    "None": lambda x: None,
}
NETWORKS = {  # init, network, x
    "mlp": (mlp.init(0, width=8, depth=2, features=4), mlp.mlp, np.ones((3, 2), np.float32)),
    "unet": (unet.init(0, channels=1, base=8, multipliers=(1, 2), embedding=8), unet.unet, np.ones((2, 4, 4, 1), np.float32)),
    "classifier": (classifier.init(0, base=8, classes=3, embedding=8), classifier.classifier, np.ones((2, 4, 4, 1), np.float32)),
}


@pytest.fixture(autouse=True)
def _emulated(monkeypatch):
    monkeypatch.setenv("REFDIFF_GPU_EMULATE", "1")


def refusal(call, L):
    """The type and text of the error."""
    with pytest.raises((TypeError, ValueError)) as caught:
        call(L)
    return type(caught.value), str(caught.value)


def same(call):
    """All op sets refuse a call in the same words, which `layers` gives."""
    expected = refusal(call, layers)
    assert "allowed" in expected[1]
    assert refusal(call, fast) == expected
    assert refusal(call, refdiff_gpu.layers) == expected
    return expected


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("op", OPS)
def test_wrong_inputs_of_layers(op, wrong):
    """An input that is no array of float32 or float64 is a TypeError that names x; object arrays reach no buffer."""
    call, x = OPS[op]
    error, text = same(lambda L: call(L, WRONG[wrong](x)))
    assert error is TypeError and text.startswith("x ")


@pytest.mark.parametrize("op", [op for op in OPS if op != "silu"])
def test_wrong_shapes_of_layers(op):
    """A channel too few is a ValueError that names x."""
    call, x = OPS[op]
    error, text = same(lambda L: call(L, x[..., :-1]))
    assert error is ValueError and "7" in text


@pytest.mark.parametrize("call", OTHERS, ids=range(len(OTHERS)))
def test_other_wrong_arguments_of_layers(call):
    """Groups, strides, embeddings, times, dtypes and labels."""
    same(call)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name):
    """Points, times and parameters of a network: other columns, images for points, no time, object arrays."""
    p, net, x = NETWORKS[name]
    objects = tree.map(lambda leaf: leaf.astype(object), p)
    for wrong in [*(each(x) for each in WRONG.values()), x[..., :0], x[None], x * np.float32(np.nan)]:
        assert "x" in same(lambda L, wrong=wrong: net(p, wrong, 500.0, L=L))[1]
    for t in (None, np.nan, "500", np.ones(7)):
        assert same(lambda L, t=t: net(p, x, t, L=L))[1].startswith("t ")
    assert same(lambda L: net(objects, x, 500.0, L=L))[1].startswith("p at ")


@pytest.mark.parametrize("op", [op for op in OPS if op != "silu"])
def test_object_parameters_of_layers(op):
    """Parameters that are object arrays are a TypeError that names them."""
    x = OPS[op][1]
    p = {
        "linear": {"w": np.ones((8, 5)), "b": np.ones(5)},
        "conv": KERNEL,
        "conv_up": KERNEL,
        "group_norm": AFFINE,
        "group_norm_silu": AFFINE,
    }
    p = tree.map(lambda leaf: leaf.astype(object), p.get(op, MODULATION))
    more = (EMB, 4) if op.startswith("adaptive") else (4,) if "norm" in op else ()
    error, text = same(lambda L: getattr(L, op)(p, x, *more))
    assert error is TypeError and text.startswith(("w ", "scale "))
