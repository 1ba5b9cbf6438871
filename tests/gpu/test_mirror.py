"""`refdiff_gpu` mirrors `refdiff` in names, signatures and documentation; every call of NumPy in both exists in CuPy."""

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
from refdiff_gpu.emulator import allowed_calls

ROOT = Path(__file__).parents[2]
MODULES = [name for name in refdiff_gpu.__all__ if inspect.ismodule(getattr(refdiff_gpu, name))]


def public(module):
    """The functions and classes that a module defines or re-exports from the package, by name."""
    items = vars(module).items()
    return {
        name: item
        for name, item in items
        if not name.startswith("_") and getattr(item, "__module__", "").startswith("refdiff") and callable(item)
    }


def test_every_public_name_is_there():
    """`refdiff_gpu` exports every name that `refdiff` exports, and has the same version."""
    assert set(refdiff.__all__) <= set(refdiff_gpu.__all__) and refdiff.__version__ == refdiff_gpu.__version__


def test_every_module_is_there():
    """Every module that `import refdiff` makes an attribute is one of `refdiff_gpu`, without a further import."""
    program = """
import inspect, refdiff, refdiff_gpu
modules = {name for name, item in vars(refdiff).items() if inspect.ismodule(item) and not name.startswith("_")}
assert modules >= {"arrays", "attention", "forward", "networks", "ode", "parallel", "tables", "unet_init"}, modules
missing = {name for name in modules if not inspect.ismodule(vars(refdiff_gpu).get(name))}
assert not missing, missing
"""
    run(program)


@pytest.mark.parametrize("name", ["data", "networks", "objectives", "process", "sampling", "training"])
def test_packages_are_mirrored(name):
    """A package exports the names that it exports in `refdiff`, and `Loss`; its own modules are among them."""
    reference, mirror = getattr(refdiff, name), getattr(refdiff_gpu, name)
    assert set(reference.__all__) == set(mirror.__all__) - {"Loss"}
    own = {path.stem for path in Path(mirror.__file__).parent.glob("[!_]*.py")} - {"loop"}
    assert {key for key in mirror.__all__ if getattr(getattr(mirror, key), "__name__", "") == f"{mirror.__name__}.{key}"} == own


def test_lazy_modules():
    """`import refdiff_gpu` loads no data sets; these modules are loaded when first used. Other names raise."""
    program = """
import sys, refdiff_gpu as rd
lazy = "checkpoint", "data", "fashion", "images", "io", "metrics", "mnist"
assert not {"refdiff.data", "refdiff.training.checkpoint", "urllib.request"} & set(sys.modules) and set(lazy) <= set(dir(rd))
assert all(getattr(rd, name) for name in lazy) and rd.metrics is rd.data.metrics and rd.io is rd.checkpoint
assert not hasattr(rd, "fast")
"""
    run(program)


@pytest.mark.parametrize("name", MODULES)
def test_functions_are_mirrored(name):
    """Every public function of a module exists with its signature and documentation; only `Loss` is new."""
    reference, mirror = getattr(refdiff, name), getattr(refdiff_gpu, name)
    defined = {key for key, item in public(reference).items() if item.__module__ == reference.__name__}
    defined |= set(getattr(reference, "__all__", ()))
    for key in (key for key in defined if not inspect.ismodule(getattr(reference, key))):
        ours, its = getattr(mirror, key), getattr(reference, key)
        if ours is not its and (inspect.isfunction(its) or inspect.isclass(its)):
            assert parameters(ours) == parameters(its) and inspect.getdoc(ours) == inspect.getdoc(its)
    added = {key for key in getattr(mirror, "__all__", ()) if key not in vars(reference)}
    assert added <= {"Loss"}


def parameters(item):
    """Names, kinds and defaults of the parameters; op sets are compared by name, since each package has its own."""
    signature = inspect.signature(item, follow_wrapped=False) if inspect.isfunction(item) else inspect.signature(item)
    found = [(p.name, p.kind, getattr(p.default, "__name__", p.default)) for p in signature.parameters.values()]
    if [kind for _, kind, _ in found] == [inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD]:
        return parameters(item.__wrapped__)
    return [(name, kind, str(default).removeprefix("refdiff_gpu.").removeprefix("refdiff.")) for name, kind, default in found]


# Calls of NumPy, and of CuPy


def sources():
    return [path for package in ("refdiff", "refdiff_gpu") for path in (ROOT / package).glob("**/*.py")]


# Packages and modules that never see a device array: code for the CPU, files, figures, data sets, the command line.
HOST_PACKAGES = {"fast", "data", "demo", "conformance", "emulator", "proof"}
HOST_MODULES = {"parallel", "archive", "files", "checkpoint", "cli", "equations", "options", "plots", "schedules", "unet_init", "tables"}


def calls():
    """Calls np.f(...) in sources that see device arrays: file and line, dotted name, keywords."""
    for path in sources():
        on_host = path.stem in HOST_MODULES or HOST_PACKAGES & set(path.parts)
        for node in () if on_host else ast.walk(ast.parse(path.read_text())):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if re.fullmatch(r"np(\.\w+)+", name):
                yield f"{path.name}:{node.lineno}", name[3:], {k.arg for k in node.keywords} - {"like"}


def of_types(name):
    """Whether the name is a NumPy type, or a function of types and shapes, which needs no array."""
    return isinstance(getattr(np, name, None), type) or name in ("errstate", "finfo", "dtype", "ndindex", "broadcast_shapes")


def test_calls_are_allowed_calls():
    """Every np. call in sources that see device arrays is an allowed call, or concerns types or host arrays."""
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
    for line, name, keywords in calls():
        known = name in allowed_calls.UFUNCS or of_types(name) or name in host_only
        known = known or keywords <= set(allowed_calls.FUNCTIONS.get(name, ()))
        assert known, f"{line}: np.{name} with {', '.join(keywords) or 'no keywords'}"


@pytest.fixture(scope="module")
def cupy():
    """CuPy, which imports without a driver; if it is not installed, the tests that compare with it are skipped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("cupy", reason="CuPy is not installed: the allowed calls are not compared with it", exc_type=ImportError)


def attribute(cupy, name):
    return functools.reduce(getattr, name.split("."), cupy)


@pytest.mark.parametrize("name", sorted(allowed_calls.FUNCTIONS))
def test_allowed_functions_are_in_cupy(name, cupy):
    """Each allowed function is in CuPy, with the listed parameters first."""
    listed = [parameter for parameter in allowed_calls.FUNCTIONS[name] if not parameter.startswith("*")]
    try:
        its = list(inspect.signature(attribute(cupy, name)).parameters)
    except ValueError:
        return
    assert its[: len(listed)] == listed or its[-1] == "kwargs"


def test_allowed_ufuncs_are_in_cupy(cupy):
    """Each allowed ufunc is in CuPy, or in cupyx.scipy.special, where CuPy arrays look it up too."""
    import cupyx.scipy.special

    for name in allowed_calls.UFUNCS:
        assert callable(getattr(cupy, name, None) or getattr(cupyx.scipy.special, name))


def test_allowed_methods_are_in_cupy(cupy):
    """Each method and property of the guard array is one of CuPy arrays."""
    for name in [*allowed_calls.METHODS, *allowed_calls.PROPERTIES, "get", "item", "tolist", "__array_function__", "__array_ufunc__"]:
        assert hasattr(cupy.ndarray, name), name


def test_every_call_is_in_cupy(cupy):
    """Every np. call in sources that see device arrays names a function of CuPy, with keywords that it has."""
    for line, name, keywords in calls():
        if of_types(name) or name in ("linalg.LinAlgError",):
            continue
        function = attribute(cupy, name)
        try:
            its = inspect.signature(function).parameters
        except ValueError:  # ufuncs have no signature
            assert keywords <= {"out", "dtype"}, line
            continue
        assert keywords <= set(its) or any(p.kind is p.VAR_KEYWORD for p in its.values()), line


# The import


def test_the_import_needs_no_cupy():
    """`import refdiff_gpu` works without CuPy, `missing` says what is missing, and the first use raises."""
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
    run(program)


def run(program):
    """Run a program in an interpreter of its own."""
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
