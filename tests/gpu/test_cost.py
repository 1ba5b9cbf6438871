"""What is counted while programs run on the emulated device: launches and bytes, against numbers known beforehand and required bounds."""

import numpy as np
import pytest

import refdiff
from refdiff import schedules, unet
from refdiff_gpu import layers, samplers, training
from refdiff_gpu.device import to_device, unchecked
from refdiff_gpu.emulator import emulate
from refdiff_gpu.emulator.counting import counted
from refdiff_gpu.kernels.table import KERNELS
from refdiff_gpu.proof import cost

SMALL = unet.init(0, base=8, multipliers=(1, 2), embedding=16, classes=3)


@pytest.fixture(autouse=True)
def _emulated(monkeypatch):
    monkeypatch.setenv("REFDIFF_GPU_EMULATE", "1")


def on_device(*shape, value=0.5):
    return to_device(np.full(shape, value, np.float32))


@pytest.mark.parametrize("name", [name for name, kernel in KERNELS.items() if not any(param.raw for param in kernel.ins)])
def test_every_input_is_read_once(name):
    """The bytes of an elementwise kernel, or of a sum, are those of its inputs and outputs, each counted once."""
    kernel = KERNELS[name]
    inputs = [np.ones((4, 1) if param.dtype("f4").kind == "u" else (4, 5), param.dtype(np.float32)) for param in kernel.ins]
    numbers = {"axis": (0,)} if kernel.after else {}
    if kernel.rule:
        inputs, numbers = inputs[:1], {param.name: 5 for param in kernel.ins[1:]}
    with emulate.Ledger() as ledger:
        outs = emulate.call(name, kernel, tuple(inputs), numbers, None, np.float32)
    (call,) = ledger.calls
    assert (call.read, call.written, call.loads) == (sum(each.nbytes for each in inputs), sum(each.nbytes for each in outs), 0)


def test_gathers_count_their_loads():
    """A raw input counts every load; what lies beyond the edge is not loaded; the loop's bound is read by each thread, once for all."""
    x = np.ones((1, 2, 2, 1), np.float32)
    with emulate.Ledger() as ledger:
        emulate.call("columns", KERNELS["columns"], (x,), {"size": 3, "stride": 1})
        emulate.call("up_back", KERNELS["up_back"], (x,), {})
    assert [(call.loads, call.read, call.written) for call in ledger.calls] == [(16, 64, 144), (4, 16, 4)]
    assert ledger.calls[1].flops == 3


def test_numpys_operations_are_launches():
    """Each operation on the device's arrays is one, reading and writing whole arrays; a view is none; what is broadcast is read once."""
    a, b = on_device(3, 4), on_device(4)
    with counted() as ledger:
        total = (a * b + 1).sum(axis=0)
        view = a.T.reshape(4, 3)[1:]
        a[:, :2] += b[:2]
        np.concatenate([a, view.T.reshape(3, 3)], axis=1)
        np.exp(np.broadcast_to(b, (3, 4)))
        a[:, 0] = total[:3]
    names = [(call.name, call.read, call.written) for call in ledger.calls]
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
    with counted() as after:
        pass
    a * b
    assert after.calls == [] and len(ledger.calls) == len(names)


@pytest.mark.parametrize(
    "step, options", [("ddim_step", {}), ("ddim_step", {"eta": 0.5}), ("ddpm_step", {}), ("ddpm_step", {"kind": "v", "variance": "beta"})]
)
@pytest.mark.parametrize("guided", [False, True])
def test_a_sampler_step_is_one_launch(step, options, guided):
    """Outside the network, a step of a diffusion is one kernel, which reads what it must and writes the state."""
    x, p, q, noise = (on_device(4, 3, value=value) for value in (0.1, 0.2, 0.3, 0.4))
    prediction = samplers.Answers(q, p, 1.5) if guided else p
    calls = cost.calls_of(lambda: getattr(samplers, step)(prediction, x, 50, 40, schedules.linear(100), noise, **options))
    arrays = 3 + guided + (step == "ddpm_step" or "eta" in options)
    assert len(calls) == 1 and cost.moved(calls) == arrays * x.nbytes


@pytest.mark.parametrize("step, launches", [("euler_step", 1), ("heun_step", 2)])
def test_a_step_of_an_ode_is_one_launch_a_slope(step, launches):
    """Outside the network, one kernel for every slope taken."""
    x = on_device(4, 3)
    calls = cost.calls_of(lambda: getattr(samplers, step)(lambda x, t: on_device(4, 3), x, 0.5, 0.25))
    assert len(calls) == launches


def test_ddim_row():
    """The step moves the bytes that it must; the text's own moves several times that."""
    row = cost.ddim_row((4, 3, 3, 1))
    assert len(row.fused) == 1 and cost.moved(row.fused) == row.bound and cost.moved(row.plain) > 5 * row.bound


def test_unet_rows():
    """The required saving: fused, elementwise traffic is at most half of the unfused; nothing moves less than the bound."""
    elementwise, convolutions = cost.unet_rows(SMALL, (8, 8, 1), 64)
    for row in elementwise, convolutions:
        assert row.bound <= cost.moved(row.fused) < cost.moved(row.plain) and len(row.fused) < len(row.plain) / 2
    assert cost.moved(elementwise.fused) <= cost.moved(elementwise.plain) / 2


@pytest.mark.parametrize("L, trainer", [(layers, training), (refdiff.layers, refdiff.training)])
def test_costs_are_affine_in_the_batch(L, trainer):
    """What is said of a long batch is what it costs."""

    def program(rows):
        return cost.gradient_calls(unet.unet, SMALL, np.ones((rows, 4, 4, 1), np.float32), L, trainer.value_and_grad)

    told, found = cost.at_batch(program, 6), program(6)
    assert [vars(each) for each in told] == [vars(each) for each in found]


def test_update_row():
    """Parameters, average and moments are read once and written once, the gradient read twice, and packed."""
    row = cost.update_row(1000)
    assert row.bound <= cost.moved(row.fused) <= row.bound * 1.25 < cost.moved(row.plain) / 3
    assert sum(call.name == "adam" for call in row.fused) == 1


def test_lines():
    """The table has a line for each program and way."""
    text = list(cost.lines([cost.ddim_row((2, 3)), cost.mlp_row(8)]))
    assert len(text) == 4 + 4 and text[4].startswith("| guided DDIM step | fused | 1 | 0.000 | 1.00 |")


def test_counting_ends():
    """After an error nothing is watched any more."""
    with pytest.raises(KeyError), counted():
        raise KeyError
    with emulate.Ledger() as ledger, unchecked():
        on_device(2) + on_device(2)
    assert ledger.calls == []
