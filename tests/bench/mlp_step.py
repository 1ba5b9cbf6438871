"""Times a training step of the 2-D MLP (forward, loss, backward, Adam; float32) against PyTorch's, side by side, in turns.

Both start from the same parameters, the same rows [x, time features] and the same targets. Before any clock runs, both gradients are compared
with the reference in float64; if one is off, the exit status is 1. Our step also clips the gradient and averages the parameters, which
PyTorch's does not. Each side gets the number of threads that suits it: PyTorch runs with 1, 2 and its own default, and the best counts.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from refdiff import fast, flow, layers, mlp, parallel, rng, training, tree
from tests.tolerances import float32_gradient

try:
    import torch
except ImportError:
    torch = None

EPS = float(np.finfo(np.float32).eps)
Step = Callable[[], None]


def problem(rows: int, width: int) -> tuple[tree.Tree, training.Batch]:
    """Parameters, the last layer drawn too, so that no gradient vanishes; and a batch."""
    p = mlp.init(0, width=width)
    p["layer3"]["w"] = rng.normal(1, width, (2,), stream=rng.INIT, dtype=np.float32) / np.float32(width**0.5)
    data = rng.normal(0, 1000, (2,), stream=rng.DATA, dtype=np.float32)
    return p, training.draw(1, data, None, flow.straight, training.Config(kind="velocity", batch=rows))


def features(batch: training.Batch) -> np.ndarray:
    """The time features, given to both implementations."""
    return layers.time_features(batch.clock, 32, np.float32)


def given(L: Any, table: np.ndarray) -> SimpleNamespace:
    """Layers with precomputed time features."""
    return SimpleNamespace(linear=L.linear, silu=L.silu, time_features=lambda t, count, dtype: table.astype(dtype, copy=False))


def our_gradient(p: tree.Tree, batch: training.Batch, workers: int | None = 1) -> tree.Tree:
    """Gradient of the summed loss by the timed code."""
    return fast.value_and_grad(mlp.mlp, fast.adopt(training.start(p)).params, batch, given(fast, features(batch)), workers)[1]


def our_step(net: training.Network, p: tree.Tree, batch: training.Batch, L: Any, workers: int | None, bare: bool = False) -> Step:
    """A function that makes one training step per call; bare: without gradient clipping and EMA."""
    rest = {"clip": np.inf, "ema": 0.0} if bare else {}
    state, config = fast.adopt(training.start(p)), training.Config(batch=len(batch.x), steps=10**6, **rest)

    def step() -> None:
        nonlocal state
        state, _ = fast.step(state, batch, config, net, L, workers)

    return step


def torch_network(p: tree.Tree) -> Any:
    """The same network in PyTorch, holding the same numbers."""
    modules = []
    for name in sorted(p):
        w, b = p[name]["w"], p[name]["b"]
        linear = torch.nn.Linear(*w.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(w.T.copy()))
            linear.bias.copy_(torch.from_numpy(b))
        modules += [linear, torch.nn.SiLU()]
    return torch.nn.Sequential(*modules[:-1])


def rows_of(batch: training.Batch) -> Any:
    """[x, time features] as PyTorch's first layer takes them."""
    return torch.from_numpy(np.concatenate([batch.x, features(batch)], axis=1))


def torch_gradient(p: tree.Tree, batch: training.Batch) -> tree.Tree:
    """Gradient of the summed loss by autograd, nested like p."""
    net = torch_network(p)
    ((net(rows_of(batch)) - torch.from_numpy(batch.target)) ** 2).sum().backward()
    return {f"layer{i}": {"w": net[2 * i].weight.grad.numpy().T, "b": net[2 * i].bias.grad.numpy()} for i in range(len(p))}


def torch_step(p: tree.Tree, batch: training.Batch, threads: int, bare: bool = False, **kind: bool) -> Step:
    """A function that makes one training step per call in PyTorch, as its tutorials write it."""
    net, x, target = torch_network(p), torch.from_numpy(np.concatenate([batch.x, features(batch)], axis=1)), torch.from_numpy(batch.target)
    optimizer, parameters = torch.optim.Adam(net.parameters(), lr=2e-3, **kind), list(net.parameters())
    average = [torch.zeros_like(parameter) for parameter in parameters]

    def step() -> None:
        optimizer.zero_grad()
        loss = ((net(x) - target) ** 2).sum() / len(x)
        loss.backward()
        if not bare:
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if not bare:
            with torch.no_grad():
                torch._foreach_lerp_(average, parameters, 1e-3)

    def with_threads() -> None:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        step()

    return with_threads


def disagreement(grads: tree.Tree, exact: tree.Tree) -> float:
    """Largest error of a gradient, each array's relative to its largest number; NaN counts as infinite."""
    errors = tree.map(lambda g, e: np.abs(g - e).max() / np.abs(e).max(), grads, exact)
    worst = max(float(error) if np.isfinite(error) else np.inf for error in tree.flatten(errors).values())
    return worst


def check(p: tree.Tree, batch: training.Batch, workers: int | None) -> bool:
    """Print the errors of both gradients against the reference in float64; return whether they are within float32 accuracy."""
    wide = batch._replace(x=batch.x.astype(np.float64), target=batch.target.astype(np.float64))
    wide_p = tree.map(lambda leaf: leaf.astype(np.float64), p)
    exact = training.value_and_grad(mlp.mlp, wide_p, wide, given(layers, features(batch)))[1]
    errors = {"refdiff": disagreement(our_gradient(p, batch, workers), exact)}
    if torch is not None:
        errors["PyTorch"] = disagreement(torch_gradient(p, batch), exact)
    allowed = float32_gradient(*p["layer1"]["w"].shape[:1], len(batch.x)) * EPS
    good = max(errors.values()) <= allowed
    stated = ", ".join(f"{name} {error:.1e}" for name, error in errors.items())
    print(f"  gradients: {stated} off the exact one, relative; allowed {allowed:.1e}: {'agree' if good else 'DISAGREE'}")
    return good


ADAM, WHOLE, FUSED = "Adam", "clipping, Adam, running average", "fused Adam"
FLAGS: dict[str, dict[str, bool]] = {ADAM: {"bare": True}, WHOLE: {}, FUSED: {"bare": True, "fused": True}}


def contenders(p: tree.Tree, batch: training.Batch, workers: int | None) -> dict[tuple[str, str], Step]:
    """All steps to be timed, by kind and by implementation."""
    chosen = parallel.count(workers, batch.x.size * tree.size(p))
    L, ours = given(fast, features(batch)), f"refdiff, {_threads(chosen)}"
    steps = {(kind, ours): our_step(mlp.mlp, p, batch, L, workers, kind == ADAM) for kind in (ADAM, WHOLE)}
    if torch is not None:
        for kind, flags in FLAGS.items():
            for threads in sorted({1, 2, torch.get_num_threads()}):
                steps[kind, f"PyTorch, {_threads(threads)}"] = torch_step(p, batch, threads, **flags)
    return steps


def _threads(number: int) -> str:
    return f"{number} thread{'s' * (number > 1)}"


def race(steps: dict[Any, Step], turn: int, repeats: int) -> dict[Any, np.ndarray]:
    """Median milliseconds of a step (repeats,) in every turn, after a few unmeasured steps and a pause for the other
    implementation's threads.
    """
    times: dict[Any, list[float]] = {key: [] for key in steps}
    for _ in range(repeats):
        for key, step in steps.items():
            time.sleep(0.01)
            for _ in range(3):
                step()
            times[key].append(float(np.median([_milliseconds(step) for _ in range(turn)])))
    return {key: np.array(medians) for key, medians in times.items()}


def _milliseconds(step: Step) -> float:
    begin = time.perf_counter()
    step()
    return 1e3 * (time.perf_counter() - begin)


def ratio(ours: np.ndarray, rivals: list[np.ndarray]) -> float:
    """Median over the turns of the ratio of our time to the best rival's; of adjacent measurements, so that load affects both."""
    return float(np.median(ours / min(rivals, key=np.median)))


def report(turns: dict[tuple[str, str], np.ndarray]) -> None:
    """The medians, and for each kind of step ours over PyTorch's best."""
    for kind in FLAGS:
        times = {who: measured for (its_kind, who), measured in turns.items() if its_kind == kind}
        for who, measured in times.items():
            print(f"  {kind + ':':<33} {who:<19} {np.median(measured):8.3f} ms")
        rivals = [measured for who, measured in times.items() if who.startswith("PyTorch")]
        ours = next(measured for (its_kind, _), measured in turns.items() if its_kind == (ADAM if kind == FUSED else kind))
        if rivals:
            print(f"  {kind + ':':<33} ratio to PyTorch's best {ratio(ours, rivals):4.2f}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20, help="steps in a turn (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=25, help="turns of each contender (default: %(default)s)")
    parser.add_argument("--workers", type=int, help="threads of our step (default: as many as `parallel.default_workers` finds worth it)")
    parser.add_argument("--sizes", nargs="+", default=["256x128", "512x256"], help="batch x width (default: 256x128 512x256)")
    options = parser.parse_args(arguments)
    if torch is None:
        print("PyTorch is not installed: only our own times.")
    good = True
    for size in options.sizes:
        rows, width = map(int, size.split("x"))
        p, batch = problem(rows, width)
        print(f"batch {rows}, width {width}")
        good &= check(p, batch, options.workers)
        report(race(contenders(p, batch, options.workers), options.steps, options.repeats))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
