"""The cost model: counts of launches and bytes on the emulated device, against known numbers and required bounds."""

import numpy as np
import pytest

import refdiff
from refdiff import schedules, unet
from refdiff_gpu import layers, samplers, training
from refdiff_gpu.device import to_device, unchecked
from refdiff_gpu.emulator import emulate
from refdiff_gpu.emulator.launch_counter import LaunchCounter
from refdiff_gpu.emulator.numpy_launches import count_launches
from refdiff_gpu.kernels.table import KERNELS
from refdiff_gpu.proof import cost
from refdiff_gpu.sampling.guidance import GuidedPrediction

SMALL = unet.init(0, base=8, multipliers=(1, 2), embedding=16, classes=3)


@pytest.fixture(autouse=True)
def _emulated(monkeypatch):
    monkeypatch.setenv("REFDIFF_GPU_EMULATE", "1")


def on_device(*shape, value=0.5):
    return to_device(np.full(shape, value, np.float32))


@pytest.mark.parametrize("name", [name for name, kernel in KERNELS.items() if not any(param.raw for param in kernel.in_params)])
def test_every_input_is_read_once(name):
    """The bytes of an elementwise kernel, or of a sum, are those of its inputs and outputs, each counted once."""
    kernel = KERNELS[name]
    inputs = [np.ones((4, 1) if param.dtype("f4").kind == "u" else (4, 5), param.dtype(np.float32)) for param in kernel.in_params]
    numbers = {"axis": (0,)} if kernel.post_map else {}
    if kernel.shape_rule:
        inputs, numbers = inputs[:1], {param.name: 5 for param in kernel.in_params[1:]}
    with LaunchCounter() as counter:
        outs = emulate.run_kernel(name, kernel, tuple(inputs), numbers, None, np.float32)
    (launch,) = counter.launches
    assert (launch.read, launch.written, launch.loads) == (sum(each.nbytes for each in inputs), sum(each.nbytes for each in outs), 0)


def test_gathers_count_their_loads():
    """A raw input counts every load; pixels beyond the edge and bounds of loops are not loaded."""
    x = np.ones((1, 2, 2, 1), np.float32)
    with LaunchCounter() as counter:
        emulate.run_kernel("im2col", KERNELS["im2col"], (x,), {"size": 3, "stride": 1})
        emulate.run_kernel("up_back", KERNELS["up_back"], (x,), {})
    assert [(launch.loads, launch.read, launch.written) for launch in counter.launches] == [(16, 64, 144), (4, 16, 4)]
    assert counter.launches[1].flops == 3


def test_numpys_operations_are_launches():
    """An operation on device arrays is one launch that reads and writes whole arrays; a view is none.

    A broadcast array is read once.
    """
    a, b = on_device(3, 4), on_device(4)
    with count_launches() as counter:
        total = (a * b + 1).sum(axis=0)
        view = a.T.reshape(4, 3)[1:]
        a[:, :2] += b[:2]
        np.concatenate([a, view.T.reshape(3, 3)], axis=1)
        np.exp(np.broadcast_to(b, (3, 4)))
        a[:, 0] = total[:3]
    names = [(launch.name, launch.read, launch.written) for launch in counter.launches]
    expected = [
        ("multiply", 64, 48),
        ("add", 48, 48),
        ("sum", 48, 16),
        ("add", 32, 24),
        ("concatenate", 84, 84),
        ("exp", 16, 48),
        ("copy", 12, 12),
    ]
    assert [each for each in names if each[0] != "reshape"] == expected
    with count_launches() as after:
        pass
    a * b
    assert after.launches == [] and len(counter.launches) == len(names)


@pytest.mark.parametrize(
    "step, options", [("ddim_step", {}), ("ddim_step", {"eta": 0.5}), ("ddpm_step", {}), ("ddpm_step", {"kind": "v", "variance": "beta"})]
)
@pytest.mark.parametrize("guided", [False, True])
def test_a_sampler_step_is_one_launch(step, options, guided):
    """Without the network, a diffusion step is one kernel, which reads each input once and writes the state."""
    x, p, q, noise = (on_device(4, 3, value=value) for value in (0.1, 0.2, 0.3, 0.4))
    prediction = GuidedPrediction(q, p, 1.5) if guided else p
    launches = cost.launches_of(lambda: getattr(samplers, step)(prediction, x, 50, 40, schedules.linear(100), noise, **options))
    arrays = 3 + guided + (step == "ddpm_step" or "eta" in options)
    assert len(launches) == 1 and cost.bytes_moved(launches) == arrays * x.nbytes


@pytest.mark.parametrize("step, expected", [("euler_step", 1), ("heun_step", 2)])
def test_a_step_of_an_ode_is_one_launch_per_slope(step, expected):
    """Without the network, an ODE step is one kernel for every slope."""
    x = on_device(4, 3)
    launches = cost.launches_of(lambda: getattr(samplers, step)(lambda x, t: on_device(4, 3), x, 0.5, 0.25))
    assert len(launches) == expected


def test_ddim_row():
    """The fused step moves the minimum of bytes; the reference implementation moves several times as many."""
    row = cost.ddim_row((4, 3, 3, 1))
    assert len(row.fused) == 1 and cost.bytes_moved(row.fused) == row.minimum and cost.bytes_moved(row.unfused) > 5 * row.minimum


def test_unet_rows():
    """Fusion at least halves elementwise traffic; nothing moves less than the minimum."""
    elementwise, convolutions = cost.unet_rows(SMALL, (8, 8, 1), 64)
    for row in elementwise, convolutions:
        assert row.minimum <= cost.bytes_moved(row.fused) < cost.bytes_moved(row.unfused) and len(row.fused) < len(row.unfused) / 2
    assert cost.bytes_moved(elementwise.fused) <= cost.bytes_moved(elementwise.unfused) / 2


@pytest.mark.parametrize("L, trainer", [(layers, training), (refdiff.layers, refdiff.training)])
def test_costs_are_affine_in_the_batch(L, trainer):
    """The cost extrapolated to a larger batch is the cost counted there."""

    def program(rows):
        return cost.gradient_launches(unet.unet, SMALL, np.ones((rows, 4, 4, 1), np.float32), L, trainer.value_and_grad)

    extrapolated, counted = cost.extrapolate(program, 6), program(6)
    assert [vars(each) for each in extrapolated] == [vars(each) for each in counted]


def test_update_row():
    """Parameters, EMA parameters and moments are read once and written once; the gradient is read twice, and packed."""
    row = cost.update_row(1000)
    assert row.minimum <= cost.bytes_moved(row.fused) <= row.minimum * 1.25 < cost.bytes_moved(row.unfused) / 3
    assert sum(launch.name == "adam" for launch in row.fused) == 1


def test_lines():
    """The table has two lines for each program, fused and unfused."""
    text = list(cost.lines([cost.ddim_row((2, 3)), cost.mlp_row(8)]))
    assert len(text) == 4 + 4 and text[4].startswith("| guided DDIM step | fused | 1 | 0.000 | 1.00 |")


def test_counting_ends():
    """After an error nothing is counted any more."""
    with pytest.raises(KeyError), count_launches():
        raise KeyError
    with LaunchCounter() as counter, unchecked():
        on_device(2) + on_device(2)
    assert counter.launches == []
