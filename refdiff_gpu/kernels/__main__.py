"""The list of all kernels: `python -m refdiff_gpu.table`."""

from __future__ import annotations

from .table import KERNELS


def table() -> str:
    """One line for each kernel: name(inputs) -> outputs; a sum's call also takes axis and keepdims."""
    return "\n".join(f"{name}({kernel.inputs}) -> {kernel.outputs}{', summed' * bool(kernel.after)}" for name, kernel in KERNELS.items())


if __name__ == "__main__":
    print(table())
