"""Kernels of images (B, H, W, C): im2col for the matrix products of convolutions, nearest upsampling, average pooling.

A thread computes one number of the result and gathers its inputs, so no two threads write to the same address.
"""

from __future__ import annotations

from math import prod
from typing import Any

from .kernel import Kernel, Shape


def _im2col_shape(x: Any, size: int, stride: int = 1) -> tuple[Shape, dict[str, int]]:
    batch, height, width, channels = x.shape
    rows, columns = -(-height // stride), -(-width // stride)
    numbers = {"H": height, "W": width, "C": channels, "rows": rows, "cols": columns, "size": size, "stride": stride}
    return _check_size((batch, rows, columns, size, size, channels), numbers)


def _im2col_up_shape(x: Any, size: int) -> tuple[Shape, dict[str, int]]:
    batch, height, width, channels = x.shape
    numbers = {"H": height, "W": width, "C": channels, "size": size}
    return _check_size((batch, 2 * height, 2 * width, size, size, channels), numbers)


def _im2col_back_shape(dcolumns: Any, height: int, width: int, stride: int = 1) -> tuple[Shape, dict[str, int]]:
    batch, rows, columns, size, _, channels = _check_size(dcolumns.shape)[0]
    numbers = {"H": height, "W": width, "C": channels, "rows": rows, "cols": columns, "size": size, "stride": stride}
    return (batch, height, width, channels), numbers


def _im2col_up_back_shape(dcolumns: Any) -> tuple[Shape, dict[str, int]]:
    batch, rows, columns, size, _, channels = _check_size(dcolumns.shape)[0]
    return (batch, rows // 2, columns // 2, channels), {"H": rows // 2, "W": columns // 2, "C": channels, "size": size}


def _upsampled_shape(x: Any) -> tuple[Shape, dict[str, int]]:
    batch, height, width, channels = x.shape
    return _check_size((batch, 2 * height, 2 * width, channels), {"H": height, "W": width, "C": channels})


def _pooled_shape(x: Any) -> tuple[Shape, dict[str, int]]:
    batch, height, width, channels = _check_size(x.shape)[0]
    return (batch, height // 2, width // 2, channels), {"H": height // 2, "W": width // 2, "C": channels}


def _check_size(shape: Shape, numbers: dict[str, int] | None = None) -> tuple[Shape, dict[str, int]]:
    """The arguments, unchanged; raises ValueError unless elements can be numbered in 32 bits."""
    if prod(shape) >= 2**31:
        raise ValueError(f"an array of shape {shape} has {prod(shape):,} numbers; allowed: fewer than 2^31, so take a smaller batch")
    return shape, numbers or {}


# The indices of an im2col element: (b, row, col) of the output pixel, (a, e) the offset in the size x size window,
# channel, and (y, z) of the input pixel. In 32 bits, since a GPU takes several times as long to divide 64-bit numbers.
_COLUMN_INDEX = """
    int32 position = int32(i) / C;
    int32 channel = int32(i) % C;
    int32 window_row = position / size;
    int32 e = position % size;
    int32 pixel = window_row / size;
    int32 a = window_row % size;
    int32 image_row = pixel / {cols};
    int32 col = pixel % {cols};
    int32 b = image_row / {rows};
    int32 row = image_row % {rows};
    int32 y = row * {stride} + a - size / 2;
    int32 z = col * {stride} + e - size / 2;
"""

# The indices of an image element.
_IMAGE_INDEX = """
    int32 pixel = int32(i) / C;
    int32 channel = int32(i) % C;
    int32 image_row = pixel / {W};
    int32 col = pixel % {W};
    int32 b = image_row / {H};
    int32 row = image_row % {H};
"""

# Of an image twice as large: the address of the first of the four pixels of an element, and their sum.
_FIRST_OF_FOUR = f"{_IMAGE_INDEX.format(H='H', W='W')} int32 at = ((b * 2 * H + 2 * row) * 2 * W + 2 * col) * C + channel;"
_SUM_OF_FOUR = "{x}[at] + {x}[at + C] + ({x}[at + 2 * W * C] + {x}[at + 2 * W * C + C])"

# Of an image half as large: the address of the pixel of an element.
_ONE_PIXEL = f"{_IMAGE_INDEX.format(H='(2 * H)', W='(2 * W)')} int32 at = ((b * H + row / 2) * W + col / 2) * C + channel;"

IMAGES = {
    "im2col": Kernel(
        "raw T x, int32 H, int32 W, int32 C, int32 rows, int32 cols, int32 size, int32 stride",
        "T column",
        f"""{_COLUMN_INDEX.format(rows="rows", cols="cols", stride="stride")}
        bool inside = y >= 0 && y < H && z >= 0 && z < W;
        column = inside ? x[((b * H + y) * W + z) * C + channel] : T(0);
        """,
        _im2col_shape,
    ),
    "im2col_back": Kernel(
        "raw T dcolumn, int32 H, int32 W, int32 C, int32 rows, int32 cols, int32 size, int32 stride",
        "T dx",
        f"""{_IMAGE_INDEX.format(H="H", W="W")}
        T sum = T(0);
        for (int64 a = 0; a < size; ++a) {{
            for (int64 e = 0; e < size; ++e) {{
                int32 y = row - int32(a) + size / 2;
                int32 z = col - int32(e) + size / 2;
                bool inside = y >= 0 && z >= 0 && y % stride == 0 && z % stride == 0 && y / stride < rows && z / stride < cols;
                int32 at = ((((b * rows + y / stride) * cols + z / stride) * size + int32(a)) * size + int32(e)) * C + channel;
                sum += inside ? dcolumn[at] : T(0);
            }}
        }}
        dx = sum;
        """,
        _im2col_back_shape,
    ),
    "im2col_up": Kernel(
        "raw T x, int32 H, int32 W, int32 C, int32 size",
        "T column",
        f"""{_COLUMN_INDEX.format(rows="(2 * H)", cols="(2 * W)", stride="1")}
        bool inside = y >= 0 && y < 2 * H && z >= 0 && z < 2 * W;
        column = inside ? x[((b * H + y / 2) * W + z / 2) * C + channel] : T(0);
        """,
        _im2col_up_shape,
    ),
    "im2col_up_back": Kernel(
        "raw T dcolumn, int32 H, int32 W, int32 C, int32 size",
        "T dx",
        f"""{_IMAGE_INDEX.format(H="H", W="W")}
        T sum = T(0);
        for (int64 k = 0; k < 4 * size * size; ++k) {{
            int32 a = int32(k) / size % size;
            int32 e = int32(k) % size;
            int32 y = 2 * row + int32(k) / (2 * size * size) - a + size / 2;
            int32 z = 2 * col + int32(k) / (size * size) % 2 - e + size / 2;
            bool inside = y >= 0 && z >= 0 && y < 2 * H && z < 2 * W;
            int32 at = ((((b * 2 * H + y) * 2 * W + z) * size + a) * size + e) * C + channel;
            sum += inside ? dcolumn[at] : T(0);
        }}
        dx = sum;
        """,
        _im2col_up_back_shape,
    ),
    "up": Kernel("raw T x, int32 H, int32 W, int32 C", "T y", f"{_ONE_PIXEL} y = x[at];", _upsampled_shape),
    "up_back": Kernel(
        "raw T dy, int32 H, int32 W, int32 C", "T dx", f"{_FIRST_OF_FOUR} dx = {_SUM_OF_FOUR.format(x='dy')};", _pooled_shape
    ),
    "pool": Kernel(
        "raw T x, int32 H, int32 W, int32 C", "T y", f"{_FIRST_OF_FOUR} y = ({_SUM_OF_FOUR.format(x='x')}) / T(4);", _pooled_shape
    ),
    "pool_back": Kernel("raw T dy, int32 H, int32 W, int32 C", "T dx", f"{_ONE_PIXEL} dx = dy[at] / T(4);", _upsampled_shape),
}
