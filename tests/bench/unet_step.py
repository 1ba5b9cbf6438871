"""Times a training step of the U-Net for 28 x 28 digits (forward, loss, backward, Adam; float32) against PyTorch's, side by side, in turns.

Base 32, multipliers (1, 2, 2), 11 labels, 1.14 million parameters, batches of 64. Both start from the same parameters and see the
same batch. Before any clock runs, both losses and all gradients are compared with the reference in float64; if one is off, the exit
status is 1. Our step also clips the gradient and averages the parameters. PyTorch runs on all cores, with the channels first and last.
Then one step of a sampler with classifier-free guidance, the network at 64 digits with their labels and without; and the memory that
three steps take at most, each side in a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from refdiff import fast, layers, rng, training, tree, unet
from tests.bench.mlp_step import Step, our_step, race, ratio
from tests.tolerances import UNET_FLOAT32
from toys.digits.generate import on_all_cores

try:
    import torch
    from torch.nn import functional
except ImportError:
    torch = None


def problem(rows: int, base: int) -> tuple[tree.Tree, training.Batch]:
    """Parameters, none of them zero, and a batch."""
    p = unet.init(0, base=base, classes=10)
    p = tree.map(lambda leaf: leaf + rng.normal(1, 1, leaf.shape, leaf.size, dtype=np.float32)[0] / np.float32(50), p)
    x, target = (rng.normal(seed, rows, (28, 28, 1), dtype=np.float32) for seed in (2, 3))
    return p, training.Batch(x, np.linspace(1, 1000, rows), np.arange(rows) % 11, target)


class Torch:
    """The same network in PyTorch, holding the same numbers; images (B, C, H, W), in memory with the channels first or last."""

    def __init__(self, p: tree.Tree, batch: training.Batch, last: bool) -> None:
        self.format = torch.channels_last if last else torch.contiguous_format
        self.p = tree.map(self.parameter, p)
        self.plan = list(unet.plan(p))
        self.x, self.target = (self.image(image) for image in (batch.x, batch.target))
        self.features = torch.from_numpy(layers.time_features(batch.clock, len(p["time1"]["w"]), np.float32))
        self.labels = torch.from_numpy(batch.y)

    def image(self, x: np.ndarray) -> Any:
        return torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).contiguous(memory_format=self.format)

    def parameter(self, leaf: np.ndarray) -> Any:
        if leaf.ndim < 4:
            return torch.from_numpy(leaf.copy()).requires_grad_()
        return torch.from_numpy(leaf.transpose(3, 2, 0, 1).copy()).contiguous(memory_format=self.format).requires_grad_()

    def loss(self) -> Any:
        """The batch's summed squared error."""
        return ((self.forward() - self.target) ** 2).sum()

    def forward(self) -> Any:
        silu, conv, norm, linear = functional.silu, self.conv, self.norm, self.linear
        emb = silu(linear("time2", silu(linear("time1", self.features))) + self.p["label"]["table"][self.labels])
        h, skips = self.x, []
        for what, name in self.plan:
            if what == "save":
                skips.append(h)
            elif what == "concat":
                h = torch.cat([h, skips.pop()], 1)
            else:
                h = {
                    "conv": lambda h, p: conv(p, h),
                    "downsample": lambda h, p: conv(p, h, 2),
                    "upsample": lambda h, p: conv(p, functional.interpolate(h, scale_factor=2, mode="nearest")),
                    "block": lambda h, p: self.block(p, h, emb),
                    "attention": lambda h, p: self.attend(p, h),
                    "norm": lambda h, p: norm(p, h),
                    "silu": lambda h, p: silu(h),
                }[what](h, self.p.get(name))
        return h

    def linear(self, name: str, h: Any) -> Any:
        return h @ self.p[name]["w"] + self.p[name]["b"]

    def conv(self, p: Any, h: Any, stride: int = 1) -> Any:
        return functional.conv2d(h, p["w"], p["b"], stride, p["w"].shape[-1] // 2)

    def norm(self, p: Any, h: Any) -> Any:
        return functional.group_norm(h, 8, p["scale"], p["shift"])

    def block(self, p: Any, x: Any, emb: Any) -> Any:
        h = self.conv(p["conv1"], functional.silu(self.norm(p["norm1"], x)))
        scale, shift = (emb @ p["conditioning"]["w"] + p["conditioning"]["b"])[:, :, None, None].chunk(2, 1)
        h = functional.silu(functional.group_norm(h, 8) * (1 + scale) + shift)
        return self.conv(p["conv2"], h) + (self.conv(p["shortcut"], x) if "shortcut" in p else x)

    def attend(self, p: Any, x: Any) -> Any:
        h = self.norm(p["norm"], x).flatten(2).transpose(1, 2)
        q, k, v = ((h @ p["attention"][name]["w"] + p["attention"][name]["b"]).unflatten(2, (4, -1)).transpose(1, 2) for name in "qkv")
        h = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        h = h @ p["attention"]["out"]["w"] + p["attention"]["out"]["b"]
        return x + h.transpose(1, 2).reshape(x.shape)

    def value_and_grad(self) -> tuple[float, tree.Tree]:
        loss = self.loss()
        loss.backward()
        grads = tree.map(lambda leaf: leaf.grad.numpy().transpose(2, 3, 1, 0) if leaf.ndim == 4 else leaf.grad.numpy(), self.p)
        return loss.item(), grads

    def step(self) -> Step:
        """A function that makes one training step per call."""
        optimizer = torch.optim.Adam(tree.flatten(self.p).values(), lr=1e-3)

        def step() -> None:
            optimizer.zero_grad()
            (self.loss() / len(self.x)).backward()
            optimizer.step()

        return step

    def evaluation(self) -> Step:
        """The network without what a gradient needs."""
        return torch.inference_mode()(self.forward)


def our_evaluation(p: tree.Tree, batch: training.Batch) -> Step:
    """The network by slices and worker processes, as in the digits' sampler."""
    model = on_all_cores(lambda x, t, y: unet.unet(p, x, t, y, fast)[0])
    return lambda: model(batch.x, batch.clock, batch.y)


def peak(name: str, base: int, rows: int) -> float:
    """Peak memory of three steps in MiB, in a process of their own, which imports PyTorch only for PyTorch's steps."""
    code = f"import runpy, sys; sys.modules |= {{'torch': None}} if {name == 'refdiff'} else {{}}; runpy.run_path({__file__!r}, run_name='__main__')"
    command = [sys.executable, "-c", code, "--base", str(base), "--rows", str(rows), "--alone", name]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def alone(step: Step) -> None:
    """Run three steps and return their memory: the peak of this process, and the private memory of its workers."""
    for _ in range(3):
        step()
    kilobytes = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
    for worker in multiprocessing.active_children():
        kilobytes += sum(map(int, re.findall(r"Private_\w+:\s+(\d+)", Path(f"/proc/{worker.pid}/smaps_rollup").read_text())))
    print(kilobytes / 1024)


def check(p: tree.Tree, batch: training.Batch, workers: int | None) -> bool:
    """Print the errors of losses and gradients against the reference in float64; return whether they are within float32 accuracy.

    Errors are relative to the largest number of the layer: the attention's key bias has gradient 0, as it has no effect.
    """
    wide = batch._replace(x=batch.x.astype(np.float64), target=batch.target.astype(np.float64))
    exact = training.value_and_grad(unet.unet, tree.map(lambda leaf: leaf.astype(np.float64), p), wide, layers, workers)
    results = {"refdiff": fast.value_and_grad(unet.unet, fast.adopt(training.start(p)).params, batch, fast, workers)}
    if torch is not None:
        results["PyTorch"] = Torch(p, batch, False).value_and_grad()
    good = True
    for name, (loss, grads) in results.items():
        errors = [disagreement(grads[layer], exact[1][layer]) for layer in p]
        good &= abs(loss / exact[0] - 1) <= UNET_FLOAT32 and max(errors) <= UNET_FLOAT32
        print(f"  {name}: loss off by {abs(loss / exact[0] - 1):.1e}, gradients by {max(errors):.1e}, relative; allowed {UNET_FLOAT32:.1e}")
    print("  agree" if good else "  DISAGREE")
    return good


def disagreement(grads: tree.Tree, exact: tree.Tree) -> float:
    largest = max(np.abs(leaf).max() for leaf in tree.flatten(exact).values())
    errors = tree.flatten(tree.map(lambda g, e: np.abs(g - e).max() / largest, grads, exact)).values()
    return max(float(error) if np.isfinite(error) else np.inf for error in errors)


def evaluations(rows: int, base: int) -> dict[str, Step]:
    """The network at twice as many images, by both implementations."""
    p, batch = problem(2 * rows, base)
    steps = {"refdiff": our_evaluation(p, batch)}
    if torch is not None:
        steps |= {f"PyTorch, channels {where}": Torch(p, batch, where == "last").evaluation() for where in ("first", "last")}
    return steps


def report(what: str, times: dict[str, np.ndarray]) -> None:
    """The medians, and ours over PyTorch's best."""
    print(what)
    for name, milliseconds in times.items():
        print(f"  {name:<24} {np.median(milliseconds):8.1f} ms")
    rivals = [measured for name, measured in times.items() if name.startswith("PyTorch")]
    if rivals:
        print(f"  ratio to PyTorch's best  {ratio(times['refdiff'], rivals):8.2f}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1, help="steps in a turn, after three unmeasured (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=7, help="turns of each contender (default: %(default)s)")
    parser.add_argument("--workers", type=int, help="threads of our step (default: one per core)")
    parser.add_argument("--base", type=int, default=32, help="channels at full resolution (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=64, help="images in a batch (default: %(default)s)")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if torch is None and not options.alone:
        print("PyTorch is not installed: only our own times.")
    p, batch = problem(options.rows, options.base)
    sides = {"refdiff": lambda: our_step(unet.unet, p, batch, fast, options.workers)}
    if torch is not None:
        sides |= {f"PyTorch, channels {where}": Torch(p, batch, where == "last").step for where in ("first", "last")}
    if options.alone:
        alone(sides[options.alone]())
        return 0
    good = check(p, batch, options.workers)
    steps = {"refdiff, 1 worker": our_step(unet.unet, p, batch, fast, 1)} | {name: make() for name, make in sides.items()}
    times = race(steps, options.steps, options.repeats)
    report("training step", times)
    print(f"  speed-up by workers      {np.median(times['refdiff, 1 worker'] / times['refdiff']):8.2f}")
    report("guided sampling step", race(evaluations(options.rows, options.base), options.steps, options.repeats))
    for name in sides:
        print(f"  peak memory, {name:<24} {peak(name, options.base, options.rows):8.0f} MiB")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
