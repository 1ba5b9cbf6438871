"""Kernels of images (B, H, W, C): neighbours side by side for the convolutions' matrix products, twice the size, half the size.

A thread makes one number of the result, and gathers what it needs: no two threads write to one place.
"""

from __future__ import annotations

from math import prod
from typing import Any

from .kernel import Kernel, Shape


def _columns(x: Any, size: int, stride: int = 1) -> tuple[Shape, dict[str, int]]:
    batch, height, width, channels = x.shape
    rows, columns = -(-height // stride), -(-width // stride)
    numbers = {"H": height, "W": width, "C": channels, "rows": rows, "cols": columns, "size": size, "stride": stride}
    return _counted((batch, rows, columns, size, size, channels), numbers)


def _columns_up(x: Any, size: int) -> tuple[Shape, dict[str, int]]:
    batch, height, width, channels = x.shape
    numbers = {"H": height, "W": width, "C": channels, "size": size}
    return _counted((batch, 2 * height, 2 * width, size, size, channels), numbers)


def _columns_back(dcolumns: Any, height: int, width: int, stride: int = 1) -> tuple[Shape, dict[str, int]]:
    batch, rows, columns, size, _, channels = _counted(dcolumns.shape)[0]
    numbers = {"H": height, "W": width, "C": channels, "rows": rows, "cols": columns, "size": size, "stride": stride}
    return (batch, height, width, channels), numbers


def _columns_up_back(dcolumns: Any) -> tuple[Shape, dict[str, int]]:
    batch, rows, columns, size, _, channels = _counted(dcolumns.shape)[0]
    return (batch, rows // 2, columns // 2, channels), {"H": rows // 2, "W": columns // 2, "C": channels, "size": size}


def _larger(x: Any) -> tuple[Shape, dict[str, int]]:
    batch, height, width, channels = x.shape
    return _counted((batch, 2 * height, 2 * width, channels), {"H": height, "W": width, "C": channels})


def _smaller(x: Any) -> tuple[Shape, dict[str, int]]:
    batch, height, width, channels = _counted(x.shape)[0]
    return (batch, height // 2, width // 2, channels), {"H": height // 2, "W": width // 2, "C": channels}


def _counted(shape: Shape, numbers: dict[str, int] | None = None) -> tuple[Shape, dict[str, int]]:
    """The same, if places can be numbered in 32 bits."""
    if prod(shape) >= 2**31:
        raise ValueError(f"an array of shape {shape} has {prod(shape):,} numbers; allowed: fewer than 2^31, so take a smaller batch")
    return shape, numbers or {}


# The places of the neighbours: (b, row, col) of the result, (a, e) the offset in the size x size square, channel. In 32 bits, since a
# GPU takes several times as long to divide numbers of 64.
_OF_COLUMNS = """
    int32 square = int32(i) / C;
    int32 channel = int32(i) % C;
    int32 line = square / size;
    int32 e = square % size;
    int32 pixel = line / size;
    int32 a = line % size;
    int32 rank = pixel / {cols};
    int32 col = pixel % {cols};
    int32 b = rank / {rows};
    int32 row = rank % {rows};
    int32 y = row * {stride} + a - size / 2;
    int32 z = col * {stride} + e - size / 2;
"""
_OF_IMAGE = """
    int32 pixel = int32(i) / C;
    int32 channel = int32(i) % C;
    int32 rank = pixel / {W};
    int32 col = pixel % {W};
    int32 b = rank / {H};
    int32 row = rank % {H};
"""
_FOUR = "{x}[at] + {x}[at + C] + ({x}[at + 2 * W * C] + {x}[at + 2 * W * C + C])"
_OF_FOUR = f"{_OF_IMAGE.format(H='H', W='W')} int32 at = ((b * 2 * H + 2 * row) * 2 * W + 2 * col) * C + channel;"
_OF_ONE = f"{_OF_IMAGE.format(H='(2 * H)', W='(2 * W)')} int32 at = ((b * H + row / 2) * W + col / 2) * C + channel;"

IMAGES = {
    "columns": Kernel(
        "raw T x, int32 H, int32 W, int32 C, int32 rows, int32 cols, int32 size, int32 stride",
        "T column",
        f"""{_OF_COLUMNS.format(rows="rows", cols="cols", stride="stride")}
        bool inside = y >= 0 && y < H && z >= 0 && z < W;
        column = inside ? x[((b * H + y) * W + z) * C + channel] : T(0);
        """,
        _columns,
    ),
    "columns_back": Kernel(
        "raw T dcolumn, int32 H, int32 W, int32 C, int32 rows, int32 cols, int32 size, int32 stride",
        "T dx",
        f"""{_OF_IMAGE.format(H="H", W="W")}
        T sum = T(0);
        for (int64 a = 0; a < size; ++a) {{
            for (int64 e = 0; e < size; ++e) {{
                int32 y = row - int32(a) + size / 2;
                int32 z = col - int32(e) + size / 2;
                bool seen = y >= 0 && z >= 0 && y % stride == 0 && z % stride == 0 && y / stride < rows && z / stride < cols;
                int32 at = ((((b * rows + y / stride) * cols + z / stride) * size + int32(a)) * size + int32(e)) * C + channel;
                sum += seen ? dcolumn[at] : T(0);
            }}
        }}
        dx = sum;
        """,
        _columns_back,
    ),
    "columns_up": Kernel(
        "raw T x, int32 H, int32 W, int32 C, int32 size",
        "T column",
        f"""{_OF_COLUMNS.format(rows="(2 * H)", cols="(2 * W)", stride="1")}
        bool inside = y >= 0 && y < 2 * H && z >= 0 && z < 2 * W;
        column = inside ? x[((b * H + y / 2) * W + z / 2) * C + channel] : T(0);
        """,
        _columns_up,
    ),
    "columns_up_back": Kernel(
        "raw T dcolumn, int32 H, int32 W, int32 C, int32 size",
        "T dx",
        f"""{_OF_IMAGE.format(H="H", W="W")}
        T sum = T(0);
        for (int64 k = 0; k < 4 * size * size; ++k) {{
            int32 a = int32(k) / size % size;
            int32 e = int32(k) % size;
            int32 y = 2 * row + int32(k) / (2 * size * size) - a + size / 2;
            int32 z = 2 * col + int32(k) / (size * size) % 2 - e + size / 2;
            bool seen = y >= 0 && z >= 0 && y < 2 * H && z < 2 * W;
            int32 at = ((((b * 2 * H + y) * 2 * W + z) * size + a) * size + e) * C + channel;
            sum += seen ? dcolumn[at] : T(0);
        }}
        dx = sum;
        """,
        _columns_up_back,
    ),
    "up": Kernel("raw T x, int32 H, int32 W, int32 C", "T y", f"{_OF_ONE} y = x[at];", _larger),
    "up_back": Kernel("raw T dy, int32 H, int32 W, int32 C", "T dx", f"{_OF_FOUR} dx = {_FOUR.format(x='dy')};", _smaller),
    "pool": Kernel("raw T x, int32 H, int32 W, int32 C", "T y", f"{_OF_FOUR} y = ({_FOUR.format(x='x')}) / T(4);", _smaller),
    "pool_back": Kernel("raw T dy, int32 H, int32 W, int32 C", "T dx", f"{_OF_ONE} dx = dy[at] / T(4);", _larger),
}
