"""List all kernels with their parameters: `python -m refdiff_gpu.kernels`."""

from __future__ import annotations

from .table import KERNELS


def table() -> str:
    """One line for each kernel: name(inputs) -> outputs. A reduction also takes axis and keepdims."""
    return "\n".join(f"{name}({kernel.inputs}) -> {kernel.outputs}{', summed' * bool(kernel.post_map)}" for name, kernel in KERNELS.items())


if __name__ == "__main__":
    print(table())
