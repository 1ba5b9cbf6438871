"""Arrays that are computed once and handed to every caller are read-only: tables, cached results, constants, oracles."""

import copy
import functools
import importlib
import pickle
import pkgutil
from types import ModuleType

import numpy as np
import pytest

import refdiff
import refdiff_gpu
from refdiff import oracles, schedules
from refdiff.conformance import cases, numbers
from refdiff.conformance.vectors import files
from refdiff.process.tables import Schedule
from refdiff_gpu.device import tables

ROOM = {"refdiff.training.parallel._SINES"}  # memory that idle threads write to, which nobody reads

CALLS = {  # every cached function that gives arrays, with arguments
    "refdiff.fast.buffers.ones": (5, np.float32),
    "refdiff.fast.layers._turns": (8,),
    "refdiff.fast.mlp._constant": (0.5, np.float32),
    "refdiff.fast.norm._means": (8, 2, 16, np.float32),
    "refdiff.fast.winograd._matrices": (np.dtype(np.float32),),
    "refdiff.sampling.oracles._gauss_hermite": (5,),
    "refdiff.sampling.orders._grid": (5,),
    "refdiff.sampling.orders._solution": (),
    "refdiff.conformance.cases.all_cases": (),
    "refdiff.conformance.cases.tables": (),
    "refdiff.conformance.cases._table": ("three",),
    "refdiff.conformance.vectors.files.load": (True,),
    "refdiff.conformance.own.schedules._schedule": (np.array([0.1, 0.2]).tobytes(), np.dtype(np.float64)),
}
WITHOUT = {  # and those that give none
    "refdiff.training.parallel._libraries",
    "refdiff.fast.matmul._has_small_kernels",
    "refdiff.fast.norm._pixels_per_row",
    "refdiff_gpu.device.launch",
    "refdiff_gpu.emulator.parse",
    "refdiff_gpu.proof.nvrtc",
    "refdiff_gpu.kernels.kernel.Kernel",
    "refdiff.conformance.operations",
    "refdiff.conformance.mutations",  # formulas, syntax trees and names
}


def modules():
    for package in (refdiff, refdiff_gpu):
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not found.name.endswith("__main__"):
                yield importlib.import_module(found.name)


def members():
    """All names of all modules, and of the classes in them, with the module that defines them."""
    for module in modules():
        for name, value in vars(module).items():
            yield f"{module.__name__}.{name}", value
            if isinstance(value, type) and value.__module__ == module.__name__:
                yield from ((f"{module.__name__}.{name}.{key}", each) for key, each in vars(value).items())


def arrays(value):
    """All arrays in a value: in containers, and in the fields and cached properties of an object."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, dict):
        yield from (array for each in value.values() for array in arrays(each))
    elif isinstance(value, list | tuple | set):
        yield from (array for each in value for array in arrays(each))
    elif isinstance(value, Schedule):
        yield from arrays({name: getattr(value, name) for name in tabulated()})
    elif hasattr(value, "__dict__") and not callable(value) and not isinstance(value, ModuleType):
        yield from arrays(vars(value))


def tabulated():
    """The fields and cached properties of a schedule."""
    cached = [name for name, value in vars(Schedule).items() if isinstance(value, functools.cached_property)]
    return [*Schedule.__dataclass_fields__, *cached]


def assert_read_only(value):
    found = list(arrays(value))
    assert found
    for array in found:
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            array[...] = array
        with pytest.raises(ValueError, match="read-only"):
            array -= array


def test_no_constant_can_be_written_to():
    """No module holds an array, alone or in a container, that a caller could change."""
    writable = {
        name
        for name, value in members()
        if isinstance(value, np.ndarray | dict | list | tuple) and any(array.flags.writeable for array in arrays(value))
    }
    assert writable == ROOM


def test_every_cached_function_is_known():
    """A cached result is shared by all callers: whoever caches another function says here what it gives."""
    kinds = functools._lru_cache_wrapper, functools.cached_property
    cached = {name for name, value in members() if isinstance(value, kinds) and value.__module__ == name.rsplit(".", 1)[0]}
    cached |= {name for name, value in members() if isinstance(value, functools.cached_property)}
    unknown = {name for name in cached if name not in CALLS and not any(name.startswith(known) for known in WITHOUT)}
    assert unknown == {f"refdiff.process.tables.Schedule.{name}" for name in tabulated()[3:]}
    assert set(CALLS) <= cached


@pytest.mark.parametrize("name", CALLS)
def test_cached_results_are_read_only(name):
    """Writing to what a cached function gave would change what it gives next."""
    module, function = name.rsplit(".", 1)
    cached = getattr(importlib.import_module(module), function)
    assert_read_only(cached(*CALLS[name]))
    assert cached(*CALLS[name]) is cached(*CALLS[name])


def test_tables_at_50_digits_are_read_only():
    """The cache of exact tables, which is no functools cache, gives read-only arrays too."""
    from refdiff.conformance.formulas.schedules import alpha_bar

    assert_read_only(alpha_bar(numbers.exact(cases.tables()["three"])))
    assert_read_only(files.decode({"shape": [2], "hex": ["0x1p0", "0x1p1"]}))


MAKERS = {
    "betas": lambda: schedules.from_betas([0.1, 1e-20, 1.0]),
    "alpha_bars": lambda: schedules.from_alpha_bars([0.9, 0.5, 0.0]),
    "log_snr": lambda: schedules.from_log_snr([3.0, 1.0, -2.0]),
    "zero terminal SNR": lambda: schedules.zero_terminal_snr(schedules.linear(50)),
    "table": lambda: Schedule(np.array([0.0, -1.0, -3.0]), np.zeros(3)),
    "on a device": lambda: tables.with_device_copy(schedules.linear(50)),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_tables_of_a_schedule_are_read_only(make):
    """F5: no table of a schedule can be made to contradict the others; nor of its copies."""
    table = make()
    for each in (table, copy.copy(table), copy.deepcopy(table), pickle.loads(pickle.dumps(table))):
        assert_read_only(each)
        for name in tabulated():
            for old, new in zip(arrays(getattr(table, name)), arrays(getattr(each, name)), strict=True):
                np.testing.assert_array_equal(np.asarray(new), np.asarray(old))
    with pytest.raises(ValueError, match="read-only"):
        table.alpha_bar[0] -= 0.001
    with pytest.raises(AttributeError):
        table.log_alpha_bar = table.log_alpha_bar + 1


def test_a_schedule_keeps_no_array_of_its_caller():
    """F5: the caller's arrays stay writable, and writing to them does not change the schedule."""
    given = np.array([0.0, -1.0, -3.0]), np.zeros(3), np.array([-1.0, -2.0])
    table = Schedule(*given)
    before = {name: np.array(getattr(table, name)) for name in tabulated() if name != "_words"}
    for array in given:
        array -= 0.25
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(table, name), value)
    betas = np.array([0.1, 0.2])
    table = schedules.from_betas(betas)
    betas *= 2
    np.testing.assert_allclose(table.beta, [0, 0.1, 0.2], rtol=1e-15)


def test_oracles_are_read_only():
    """G4: the fields of a mixture, built from arrays of the caller, which stay writable and apart."""
    means, covariances, weights, labels = np.eye(2), np.stack([np.eye(2)] * 2), np.ones(2), np.arange(2)
    built = [
        oracles.mixture(means, covariances, weights, labels),
        oracles.gaussian(means[0], covariances[0]),
        oracles.data_set(means, weights, labels),
        oracles.point_mass(means[0]),
    ]
    before = copy.deepcopy([list(arrays(oracle)) for oracle in built])
    for given in (means, covariances, weights, labels):
        given += 1
    for oracle, fields in zip(built, before, strict=True):
        assert_read_only(oracle)
        for old, new in zip(fields, arrays(oracle), strict=True):
            np.testing.assert_array_equal(new, old)
