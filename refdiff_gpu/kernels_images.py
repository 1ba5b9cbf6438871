"""Kernels of images (B, H, W, C): neighbours side by side for the convolutions' matrix products, twice the size, half the size.

A thread makes one number of the result, and gathers what it needs: no two threads write to one place.
"""

from __future__ import annotations

from typing import Any

from .kernel import Kernel, Shape


def _columns(x: Any, size: int, stride: int = 1) -> tuple[Shape, dict[str, int]]:
    batch, height, width, channels = x.shape
    rows, columns = -(-height // stride), -(-width // stride)
    numbers = {"H": height, "W": width, "C": channels, "rows": rows, "cols": columns, "size": size, "stride": stride}
    return (batch, rows, columns, size, size, channels), numbers


def _columns_up(x: Any, size: int) -> tuple[Shape, dict[str, int]]:
    batch, height, width, channels = x.shape
    return (batch, 2 * height, 2 * width, size, size, channels), {"H": height, "W": width, "C": channels, "size": size}


def _columns_back(dcolumns: Any, height: int, width: int, stride: int = 1) -> tuple[Shape, dict[str, int]]:
    batch, rows, columns, size, _, channels = dcolumns.shape
    numbers = {"H": height, "W": width, "C": channels, "rows": rows, "cols": columns, "size": size, "stride": stride}
    return (batch, height, width, channels), numbers


def _columns_up_back(dcolumns: Any) -> tuple[Shape, dict[str, int]]:
    batch, rows, columns, size, _, channels = dcolumns.shape
    return (batch, rows // 2, columns // 2, channels), {"H": rows // 2, "W": columns // 2, "C": channels, "size": size}


def _larger(x: Any) -> tuple[Shape, dict[str, int]]:
    batch, height, width, channels = x.shape
    return (batch, 2 * height, 2 * width, channels), {"H": height, "W": width, "C": channels}


def _smaller(x: Any) -> tuple[Shape, dict[str, int]]:
    batch, height, width, channels = x.shape
    return (batch, height // 2, width // 2, channels), {"H": height // 2, "W": width // 2, "C": channels}


# The places of the neighbours: (b, row, col) of the result, (a, e) the offset in the size x size square, channel.
_OF_COLUMNS = """
    int64 channel = i % C;
    int64 e = i / C % size;
    int64 a = i / (C * size) % size;
    int64 col = i / (C * size * size) % {cols};
    int64 row = i / (C * size * size * {cols}) % {rows};
    int64 b = i / (C * size * size * {cols} * {rows});
    int64 y = row * {stride} + a - size / 2;
    int64 z = col * {stride} + e - size / 2;
"""
_OF_IMAGE = """
    int64 channel = i % C;
    int64 col = i / C % {W};
    int64 row = i / (C * {W}) % {H};
    int64 b = i / (C * {W} * {H});
"""
_FOUR = "{x}[at] + {x}[at + C] + ({x}[at + 2 * W * C] + {x}[at + 2 * W * C + C])"
_OF_FOUR = f"{_OF_IMAGE.format(H='H', W='W')} int64 at = ((b * 2 * H + 2 * row) * 2 * W + 2 * col) * C + channel;"
_OF_ONE = f"{_OF_IMAGE.format(H='(2 * H)', W='(2 * W)')} int64 at = ((b * H + row / 2) * W + col / 2) * C + channel;"

IMAGES = {
    "columns": Kernel(
        "raw T x, int64 H, int64 W, int64 C, int64 rows, int64 cols, int64 size, int64 stride",
        "T column",
        f"""{_OF_COLUMNS.format(rows="rows", cols="cols", stride="stride")}
        bool inside = y >= 0 && y < H && z >= 0 && z < W;
        column = inside ? x[((b * H + y) * W + z) * C + channel] : T(0);
        """,
        _columns,
    ),
    "columns_back": Kernel(
        "raw T dcolumn, int64 H, int64 W, int64 C, int64 rows, int64 cols, int64 size, int64 stride",
        "T dx",
        f"""{_OF_IMAGE.format(H="H", W="W")}
        T sum = T(0);
        for (int64 a = 0; a < size; ++a) {{
            for (int64 e = 0; e < size; ++e) {{
                int64 y = row - a + size / 2;
                int64 z = col - e + size / 2;
                bool seen = y >= 0 && z >= 0 && y % stride == 0 && z % stride == 0 && y / stride < rows && z / stride < cols;
                int64 at = ((((b * rows + y / stride) * cols + z / stride) * size + a) * size + e) * C + channel;
                sum += seen ? dcolumn[at] : T(0);
            }}
        }}
        dx = sum;
        """,
        _columns_back,
    ),
    "columns_up": Kernel(
        "raw T x, int64 H, int64 W, int64 C, int64 size",
        "T column",
        f"""{_OF_COLUMNS.format(rows="(2 * H)", cols="(2 * W)", stride="1")}
        bool inside = y >= 0 && y < 2 * H && z >= 0 && z < 2 * W;
        column = inside ? x[((b * H + y / 2) * W + z / 2) * C + channel] : T(0);
        """,
        _columns_up,
    ),
    "columns_up_back": Kernel(
        "raw T dcolumn, int64 H, int64 W, int64 C, int64 size",
        "T dx",
        f"""{_OF_IMAGE.format(H="H", W="W")}
        T sum = T(0);
        for (int64 k = 0; k < 4 * size * size; ++k) {{
            int64 a = k / size % size;
            int64 e = k % size;
            int64 y = 2 * row + k / (2 * size * size) - a + size / 2;
            int64 z = 2 * col + k / (size * size) % 2 - e + size / 2;
            bool seen = y >= 0 && z >= 0 && y < 2 * H && z < 2 * W;
            int64 at = ((((b * 2 * H + y) * 2 * W + z) * size + a) * size + e) * C + channel;
            sum += seen ? dcolumn[at] : T(0);
        }}
        dx = sum;
        """,
        _columns_up_back,
    ),
    "up": Kernel("raw T x, int64 H, int64 W, int64 C", "T y", f"{_OF_ONE} y = x[at];", _larger),
    "up_back": Kernel("raw T dy, int64 H, int64 W, int64 C", "T dx", f"{_OF_FOUR} dx = {_FOUR.format(x='dy')};", _smaller),
    "pool": Kernel("raw T x, int64 H, int64 W, int64 C", "T y", f"{_OF_FOUR} y = ({_FOUR.format(x='x')}) / T(4);", _smaller),
    "pool_back": Kernel("raw T dy, int64 H, int64 W, int64 C", "T dx", f"{_OF_ONE} dx = dy[at] / T(4);", _larger),
}
