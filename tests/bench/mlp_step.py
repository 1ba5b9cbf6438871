"""Times a training step of the 2-D MLP (forward, loss, backward, Adam; float32) against PyTorch's, side by side, in turns.

Both start from the same parameters, the same rows [x, time features] and the same targets. Before any clock runs, both gradients are held
against the text's in float64; if one is off, the exit status is 1. Our step also clips the gradient and averages the parameters, which
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
    """Parameters, the last layer drawn too, so that no gradient vanishes; and a batch whose x holds the time features already."""
    p = mlp.init(0, width=width)
    p["layer3"]["w"] = rng.normal(1, width, (2,), stream=rng.INIT, dtype=np.float32) / np.float32(width**0.5)
    data = rng.normal(0, 1000, (2,), stream=rng.DATA, dtype=np.float32)
    batch = training.draw(1, data, None, flow.straight, training.Config(kind="velocity", batch=rows))
    features = layers.time_features(batch.clock, 32, np.float32)
    return p, batch._replace(x=np.concatenate([batch.x, features], axis=1))


def without_features(L: Any) -> SimpleNamespace:
    """An op set whose time has no further features."""
    return SimpleNamespace(linear=L.linear, silu=L.silu, time_features=lambda t, features, dtype: np.empty((len(t), features), dtype))


def our_gradient(p: tree.Tree, batch: training.Batch, L: Any, workers: int | None = 1) -> tree.Tree:
    """Of the summed loss, by the text in the precision of p and batch."""
    return training.value_and_grad(mlp.mlp, p, batch, without_features(L), workers)[1]


def our_step(p: tree.Tree, batch: training.Batch, workers: int | None) -> Step:
    """One whole step, on and on."""
    state, config = fast.adopt(training.start(p)), training.Config(batch=len(batch.x), steps=10**6)

    def step() -> None:
        nonlocal state
        state = fast.update(state, our_gradient(state.params, batch, fast, workers), config)

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


def torch_gradient(p: tree.Tree, batch: training.Batch) -> tree.Tree:
    """Of the summed loss, by autograd, nested like p."""
    net = torch_network(p)
    ((net(torch.from_numpy(batch.x)) - torch.from_numpy(batch.target)) ** 2).sum().backward()
    return {f"layer{i}": {"w": net[2 * i].weight.grad.numpy().T, "b": net[2 * i].bias.grad.numpy()} for i in range(len(p))}


def torch_step(p: tree.Tree, batch: training.Batch, threads: int, **kind: bool) -> Step:
    """One whole step in PyTorch, as its tutorials write it."""
    net, x, target = torch_network(p), torch.from_numpy(batch.x), torch.from_numpy(batch.target)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3, **kind)

    def step() -> None:
        optimizer.zero_grad()
        loss = ((net(x) - target) ** 2).sum() / len(x)
        loss.backward()
        optimizer.step()

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
    """Print how far both gradients are from the text's in float64; whether they are within float32 accuracy."""
    wide = batch._replace(x=batch.x.astype(np.float64), target=batch.target.astype(np.float64))
    exact = our_gradient(tree.map(lambda leaf: leaf.astype(np.float64), p), wide, layers)
    errors = {"refdiff": disagreement(our_gradient(p, batch, fast, workers), exact)}
    if torch is not None:
        errors["PyTorch"] = disagreement(torch_gradient(p, batch), exact)
    allowed = float32_gradient(*p["layer1"]["w"].shape[:1], len(batch.x)) * EPS
    good = max(errors.values()) <= allowed
    stated = ", ".join(f"{name} {error:.1e}" for name, error in errors.items())
    print(f"  gradients: {stated} off the exact one, relative; allowed {allowed:.1e}: {'agree' if good else 'DISAGREE'}")
    return good


def contenders(p: tree.Tree, batch: training.Batch, workers: int | None) -> dict[str, Step]:
    """Every step to be timed, by name; ours first."""
    chosen = parallel.default_workers(len(batch.x)) if workers is None else workers
    steps = {f"refdiff, {chosen} worker{'s' * (chosen > 1)}": our_step(p, batch, workers)}
    if torch is not None:
        kinds: dict[str, dict[str, bool]] = {"Adam": {}, "foreach Adam": {"foreach": True}, "fused Adam": {"fused": True}}
        for kind, flags in kinds.items():
            for threads in sorted({1, 2, torch.get_num_threads()}):
                steps[f"PyTorch, {kind}, {threads} thread{'s' * (threads > 1)}"] = torch_step(p, batch, threads, **flags)
    return steps


def race(steps: dict[str, Step], turn: int, repeats: int) -> dict[str, float]:
    """Median milliseconds of each step, run in turns, a few unmeasured before each turn and a pause to let the others' threads sleep."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(repeats):
        for name, step in steps.items():
            time.sleep(0.01)
            for i in range(turn + 3):
                begin = time.perf_counter()
                step()
                if i >= 3:
                    times[name].append(time.perf_counter() - begin)
    return {name: 1e3 * float(np.median(measured)) for name, measured in times.items()}


def report(medians: dict[str, float]) -> None:
    """The medians, and ours over PyTorch's best: of its default Adam, and of its fused one."""
    for name, median in medians.items():
        print(f"  {name:<34} {median:8.3f} ms")
    ours = next(iter(medians.values()))
    for kind in ("Adam", "foreach Adam", "fused Adam"):
        rivals = [median for name, median in medians.items() if f", {kind}," in name]
        if rivals:
            print(f"  ratio to PyTorch's best with {kind + ':':<14} {ours / min(rivals):5.2f}")


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
