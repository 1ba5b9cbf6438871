"""`refdiff_gpu` is `refdiff` by name, signature, documentation and error; and what both ask of NumPy is what CuPy has."""

import ast
import functools
import inspect
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import refdiff
import refdiff_gpu
from refdiff_gpu.emulator import allowed_calls as guard_lists

ROOT = Path(__file__).parents[2]
MODULES = [name for name in refdiff_gpu.__all__ if inspect.ismodule(getattr(refdiff_gpu, name))]


def public(module):
    """The functions and classes a module defines or hands on from the package, by name."""
    items = vars(module).items()
    return {
        name: item
        for name, item in items
        if not name.startswith("_") and getattr(item, "__module__", "").startswith("refdiff") and callable(item)
    }


def test_every_public_name_is_there():
    """What `refdiff` exports, `refdiff_gpu` exports, and its version is the same."""
    assert set(refdiff.__all__) <= set(refdiff_gpu.__all__) and refdiff.__version__ == refdiff_gpu.__version__


@pytest.mark.parametrize("name", MODULES)
def test_functions_are_mirrored(name):
    """Every public function of a module is there with its signature and its documentation; no other is, but what the device needs."""
    text = getattr(refdiff, name)
    there = getattr(refdiff_gpu, name)
    defined = {key for key, item in public(text).items() if item.__module__ == text.__name__} | set(getattr(text, "__all__", ()))
    for key in (key for key in defined if not inspect.ismodule(getattr(text, key))):
        ours, its = getattr(there, key), getattr(text, key)
        if ours is not its and (inspect.isfunction(its) or inspect.isclass(its)):
            assert parameters(ours) == parameters(its) and inspect.getdoc(ours) == inspect.getdoc(its)
    added = {key for key in getattr(there, "__all__", ()) if key not in vars(text)}
    assert added <= {"Loss"}


def parameters(item):
    """Names, kinds and defaults, op sets by name, for each side has its own."""
    signature = inspect.signature(item, follow_wrapped=False) if inspect.isfunction(item) else inspect.signature(item)
    found = [(p.name, p.kind, getattr(p.default, "__name__", p.default)) for p in signature.parameters.values()]
    if [kind for _, kind, _ in found] == [inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD]:
        return parameters(item.__wrapped__)
    return [(name, kind, str(default).removeprefix("refdiff_gpu.").removeprefix("refdiff.")) for name, kind, default in found]


# What is asked of NumPy, and of CuPy


def sources():
    return [path for package in ("refdiff", "refdiff_gpu") for path in (ROOT / package).glob("**/*.py")]


# Modules of which no line sees an array of the device: the CPU's own speed, files, pictures, data sets, the command line.
HOST_ROOMS = {"fast", "data", "demo", "conformance", "emulator", "proof"}
HOST = {"parallel", "checkpoint", "cli", "equations", "schedules", "unet_init", "tables"}


def calls():
    """np.f(...) of the sources that see arrays of the device: file, line, dotted name, keywords."""
    for path in sources():
        on_host = path.stem in HOST or HOST_ROOMS & set(path.parts)
        for node in () if on_host else ast.walk(ast.parse(path.read_text())):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if re.fullmatch(r"np(\.\w+)+", name):
                yield f"{path.name}:{node.lineno}", name[3:], {k.arg for k in node.keywords} - {"like"}


def of_types(name):
    """Whether the name is a type or a state of NumPy itself, on the host whatever is on the device."""
    return isinstance(getattr(np, name, None), type) or name in ("errstate", "finfo", "dtype", "ndindex", "broadcast_shapes")


def test_calls_are_those_the_guard_knows():
    """Every np. call in sources that see device arrays is in the guard's lists, with its keywords, or is about types or the host."""
    host_only = {
        "eye",
        "broadcast_arrays",
        "arange",
        "array",
        "asarray",
        "atleast_2d",
        "ones",
        "linalg.LinAlgError",
        "prod",
        "tile",
        "repeat",
    }
    for place, name, keywords in calls():
        known = name in guard_lists.UFUNCS or of_types(name) or name in host_only
        known = known or keywords <= set(guard_lists.FUNCTIONS.get(name, ()))
        assert known, f"{place}: np.{name} with {', '.join(keywords) or 'no keywords'}"


@pytest.fixture(scope="module")
def cupy():
    """CuPy, which imports without a driver; where it is not installed, the comparison is left out, and pytest counts it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("cupy", reason="CuPy is not installed: the lists are not compared with it", exc_type=ImportError)


def found(cupy, name):
    return functools.reduce(getattr, name.split("."), cupy)


@pytest.mark.parametrize("name", sorted(guard_lists.FUNCTIONS))
def test_the_guards_functions_are_cupys(name, cupy):
    """Each function that the guard lets through is in CuPy, whose first parameters are those of the guard's list."""
    listed = [parameter for parameter in guard_lists.FUNCTIONS[name] if not parameter.startswith("*")]
    try:
        its = list(inspect.signature(found(cupy, name)).parameters)
    except ValueError:
        return
    assert its[: len(listed)] == listed or its[-1] == "kwargs"


def test_the_guards_ufuncs_are_cupys(cupy):
    """Each ufunc that the guard lets through is in CuPy, or in its scipy.special, where CuPy's arrays look too."""
    import cupyx.scipy.special

    for name in guard_lists.UFUNCS:
        assert callable(getattr(cupy, name, None) or getattr(cupyx.scipy.special, name))


def test_the_guards_methods_are_cupys(cupy):
    """Each method and property that the guard has, CuPy's arrays have."""
    for name in [*guard_lists.METHODS, *guard_lists.PROPERTIES, "get", "item", "tolist", "__array_function__", "__array_ufunc__"]:
        assert hasattr(cupy.ndarray, name), name


def test_every_call_is_in_cupy(cupy):
    """Every np. call of sources that see device arrays names what CuPy has, with keywords that it has."""
    for place, name, keywords in calls():
        if of_types(name) or name in ("linalg.LinAlgError",):
            continue
        function = found(cupy, name)
        try:
            its = inspect.signature(function).parameters
        except ValueError:  # ufuncs do not tell
            assert keywords <= {"out", "dtype"}, place
            continue
        assert keywords <= set(its) or any(p.kind is p.VAR_KEYWORD for p in its.values()), place


# The import


def test_the_import_needs_no_cupy():
    """`import refdiff_gpu` works where CuPy is not there at all, says what is missing, and its first use raises."""
    program = """
import sys
sys.modules["cupy"] = None
import numpy as np, refdiff_gpu as rd
assert not rd.available() and "pip install 'refdiff[gpu]'" in rd.missing() and "REFDIFF_GPU_EMULATE=1" in rd.missing()
for use in (lambda: rd.to_device(np.ones(2)), lambda: rd.rng.normal(0, 1, (2,)), lambda: rd.mlp.init(0)):
    try:
        use()
    except rd.NoDevice as error:
        assert str(error) == rd.missing()
    else:
        raise SystemExit("fell back to the CPU")
"""
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
