"""The U-Net's parameters and plan: number of parameters, initialization, order of the layers, errors."""

import re
from itertools import product

import numpy as np
import pytest

from refdiff import rng, tree, unet, unet_init

from ..tolerances import IDENTITY, SIGMAS
from .test_layers import numbers

EPS = np.finfo(np.float64).eps


def linear(fan_in, fan_out):
    return fan_in * fan_out + fan_out


def conv(k, fan_in, fan_out):
    return k * k * fan_in * fan_out + fan_out


def block(fan_in, fan_out, embedding=128):
    short = conv(1, fan_in, fan_out) if fan_in != fan_out else 0
    return 2 * fan_in + conv(3, fan_in, fan_out) + linear(embedding, 2 * fan_out) + conv(3, fan_out, fan_out) + short


def test_size_of_the_reference():
    """N5: 1,141,121 parameters, summed layer by layer for base 32, multipliers (1, 2, 2), 10 classes."""
    conditioning = linear(32, 128) + linear(128, 128) + 11 * 128
    down = conv(3, 1, 32) + block(32, 32) + conv(3, 32, 32) + block(32, 64) + conv(3, 64, 64) + block(64, 64)
    middle = 2 * block(64, 64) + 2 * 64 + 4 * linear(64, 64)
    up = 2 * block(64 + 64, 64) + conv(3, 64, 64)  # concatenated with the skip connections
    up += block(64 + 64, 64) + block(64 + 32, 64) + conv(3, 64, 64)
    up += block(64 + 32, 32) + block(32 + 32, 32) + 2 * 32 + conv(3, 32, 1)
    assert tree.size(unet.init(0, classes=10)) == conditioning + down + middle + up == 1_141_121


SMALL = {"base": 4, "embedding": 3}


def test_shapes():
    """N5: names and shapes for two levels, two blocks, three image channels, attention at the lower level, additive conditioning."""
    p = unet.init(0, **SMALL, channels=3, multipliers=(1, 2), blocks=2, attention=(1,), mode="add")
    blocks = {
        "down0_block0": (4, 4),
        "down0_block1": (4, 4),
        "down1_block0": (4, 8),
        "down1_block1": (8, 8),
        "mid_block0": (8, 8),
        "mid_block1": (8, 8),
    }
    blocks |= {
        "up1_block0": (16, 8),
        "up1_block1": (16, 8),
        "up1_block2": (12, 8),
        "up0_block0": (12, 4),
        "up0_block1": (8, 4),
        "up0_block2": (8, 4),
    }
    attended = {"down1_block0", "down1_block1", "mid_block0", "up1_block0", "up1_block1", "up1_block2"}
    others = {"time1", "time2", "conv_in", "downsample0", "upsample1", "norm_out", "conv_out"}
    assert set(p) == set(blocks) | others | {name.replace("block", "attention") for name in attended}
    for name, (fan_in, fan_out) in blocks.items():
        shapes = tree.map(np.shape, p[name])
        assert shapes["conv1"]["w"] == (3, 3, fan_in, fan_out) and shapes["conv2"]["w"] == (3, 3, fan_out, fan_out)
        assert (
            shapes["conditioning"]["w"] == (3, fan_out) and shapes["norm1"]["scale"] == (fan_in,) and shapes["norm2"]["shift"] == (fan_out,)
        )
        assert ("shortcut" in p[name]) == (fan_in != fan_out) and (fan_in == fan_out or shapes["shortcut"]["w"] == (1, 1, fan_in, fan_out))
    assert (
        p["conv_in"]["w"].shape == (3, 3, 3, 4) and p["conv_out"]["w"].shape == (3, 3, 4, 3) and p["upsample1"]["w"].shape == (3, 3, 8, 8)
    )
    assert p["time1"]["w"].shape == (4, 3) and p["time2"]["w"].shape == (3, 3) and p["downsample0"]["w"].shape == (3, 3, 4, 4)
    adaptive = unet.init(0, **SMALL)["down0_block0"]
    assert "norm2" not in adaptive and adaptive["conditioning"]["w"].shape == (3, 8)
    assert unet.init(0, **SMALL, classes=5)["label"]["table"].shape == (6, 3) and "label" not in p


def test_start():
    """N5: initial weights N(0, 1 / fan-in), labels N(0, 1), shifts 0, scales 1; last layers of blocks, attention and network 0."""
    p = unet.init(3, attention=(1,), classes=99, dtype=np.float64)
    for path, leaf in tree.flatten(p).items():
        name, last = path.split("/")[-2:]
        if last == "scale":
            np.testing.assert_array_equal(leaf, 1)
        elif last in ("b", "shift") or name in ("conv2", "out", "conv_out"):
            np.testing.assert_array_equal(leaf, 0)
        else:
            z = leaf * np.sqrt(1 if last == "table" else np.prod(leaf.shape[:-1]))
            assert abs(z.mean()) < SIGMAS / np.sqrt(z.size) and abs((z * z).mean() - 1) < SIGMAS * np.sqrt(2 / z.size), path
    np.testing.assert_allclose(p["time1"]["w"], rng.normal(3, 1, (32, 128), 1, rng.INIT)[0] / 32**0.5, rtol=IDENTITY * EPS)
    for path, leaf in tree.flatten(unet.init(3, attention=(1,), classes=99)).items():
        assert leaf.dtype == np.float32, path
        np.testing.assert_array_equal(leaf, tree.flatten(p)[path].astype(np.float32))


def test_initial_numbers_never_repeat():
    """N5: every array has its own random numbers, and another seed has others."""
    drawn = []
    for seed in 0, 1:
        for leaf in tree.flatten(unet.init(seed, base=8, embedding=8, attention=(0,), classes=3, dtype=np.float64)).values():
            if leaf.std() > 0:
                drawn.append(leaf.ravel() * np.sqrt(np.prod(leaf.shape[:-1]) if leaf.shape != (4, 8) else 1))
    drawn = np.concatenate(drawn)
    assert len(drawn) > 20000 and len(np.unique(np.round(drawn, 13))) == len(drawn)


@pytest.mark.parametrize("mode", ["adaptive", "add"])
def test_untrained_network_outputs_zero(mode):
    """N5: the untrained network outputs exactly 0 for any image, and its last layer has a nonzero gradient."""
    p, x = unet.init(0, base=8, embedding=4, channels=2, attention=(0,), mode=mode, dtype=np.float64), numbers(0, (2, 8, 4, 2))
    out, vjp = unet.unet(p, x, 5.0)
    np.testing.assert_array_equal(out, np.zeros(x.shape))
    assert np.abs(vjp(x)[0]["conv_out"]["w"]).min() > 0


@pytest.mark.parametrize("multipliers, blocks, attention", list(product([(1,), (1, 2), (2, 1, 3, 1)], [1, 2, 3], [(), (0,)])))
def test_plan(multipliers, blocks, attention):
    """N5: the plan has every layer once, in the order down, middle, up; a concat for each save, at the same size, and never before it."""
    p = unet.init(0, **SMALL, multipliers=multipliers, blocks=blocks, attention=attention)
    steps = list(unet.plan(p))
    names = [name for what, name in steps if what not in ("save", "concat", "silu")]
    assert sorted(names) == sorted(set(p) - {"time1", "time2"}) and len(names) == len(set(names))
    kept = np.cumsum([{"save": 1, "concat": -1}.get(what, 0) for what, _ in steps])
    assert kept[-1] == 0 and kept.min() >= 0 and kept.max() == len(multipliers) * (blocks + 1)
    assert steps[:2] == [("conv", "conv_in"), ("save", "")] and steps[-3:] == [("norm", "norm_out"), ("silu", ""), ("conv", "conv_out")]
    level, stack = 0, []
    for what, _ in steps:
        level += {"downsample": 1, "upsample": -1}.get(what, 0)
        if what == "save":
            stack.append(level)
        elif what == "concat":
            assert stack.pop() == level
    for name in "down0_block0", "up0_block0":
        at = names.index(name)
        assert (names[at + 1] == name.replace("block", "attention")) == (attention == (0,))
    assert "mid_attention0" in names and "mid_attention1" not in names
    assert all((name == "") == (what in ("save", "concat", "silu")) for what, name in steps)


def test_smallest_network():
    """N5: the smallest allowed sizes: one channel, base 4, one level, one block, an embedding of one number."""
    p = unet.init(0, channels=1, base=4, multipliers=(1,), blocks=1, embedding=1, classes=1)
    assert p["time2"]["w"].shape == (1, 1) and p["label"]["table"].shape == (2, 1)


@pytest.mark.parametrize(
    "choice, message",
    [
        ({"mode": "both"}, "mode = 'both'; allowed: adaptive, add"),
        ({"channels": 0}, "channels = 0, embedding = 128; allowed: 1 or more"),
        ({"embedding": 0}, "channels = 1, embedding = 0; allowed: 1 or more"),
        ({"base": 2}, "base = 2, multipliers = (1, 2, 2); allowed: base even and 4 or more, multipliers 1 or more"),
        ({"base": 5}, "base = 5, multipliers = (1, 2, 2); allowed: base even and 4 or more, multipliers 1 or more"),
        ({"multipliers": ()}, "base = 32, multipliers = (); allowed: base even and 4 or more, multipliers 1 or more"),
        ({"multipliers": (1, 0)}, "base = 32, multipliers = (1, 0); allowed: base even and 4 or more, multipliers 1 or more"),
        ({"blocks": 0}, "blocks = 0, classes = 0; allowed: blocks 1 or more, classes 0 or more"),
        ({"classes": -1}, "blocks = 1, classes = -1; allowed: blocks 1 or more, classes 0 or more"),
        ({"attention": (3,)}, "attention = (3,); allowed: levels, 0..2"),
        ({"attention": (-1, 0)}, "attention = (-1, 0); allowed: levels, 0..2"),
    ],
)
def test_errors(choice, message):
    """Errors name the argument, its value, and what is allowed."""
    with pytest.raises(ValueError, match="^" + re.escape(message) + "$"):
        unet_init.init(0, **choice)
