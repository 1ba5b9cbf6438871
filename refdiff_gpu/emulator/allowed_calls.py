"""Allowed calls on device arrays: the NumPy functions, methods and properties that the package uses.

Each is listed with its first parameters in CuPy. A test compares these lists with CuPy itself; they were compared with
CuPy 13.6 and 14.2.
"""

from __future__ import annotations

UFUNCS = frozenset(
    [
        "absolute",
        "add",
        "arctan2",
        "bitwise_and",
        "bitwise_or",
        "bitwise_xor",
        "conjugate",
        "cos",
        "cosh",
        "divide",
        "equal",
        "exp",
        "expm1",
        "floor",
        "floor_divide",
        "greater",
        "greater_equal",
        "hypot",
        "invert",
        "isfinite",
        "isnan",
        "left_shift",
        "less",
        "less_equal",
        "log",
        "log1p",
        "log_ndtr",
        "logaddexp",
        "logical_and",
        "logical_not",
        "logical_or",
        "matmul",
        "maximum",
        "minimum",
        "multiply",
        "negative",
        "not_equal",
        "positive",
        "power",
        "remainder",
        "right_shift",
        "sin",
        "sinh",
        "sqrt",
        "square",
        "subtract",
        "tan",
        "tanh",
    ]
)

# Called with like=; not eye, full and ones, to which NumPy adds the keyword `device`, which CuPy refuses.
CREATORS = frozenset(["arange", "array", "asarray", "empty", "zeros"])

_FUNCTIONS = """
all a axis out keepdims
any a axis out keepdims
arange start stop step dtype
argmin a axis dtype out keepdims
array obj dtype copy order
array_equal a1 a2
asarray a dtype order
broadcast_to array shape
clip a a_min a_max out
concatenate tup axis out
copyto dst src casting where
cumsum a axis dtype out
diag v k
diff a n axis
einsum *
empty shape dtype order
empty_like prototype dtype order subok shape
expand_dims a axis
full_like a fill_value dtype order subok shape
imag val
linalg.cholesky a
linalg.eigh a UPLO
linalg.eigvalsh a UPLO
linalg.inv a
linalg.norm x ord axis keepdims
linalg.solve a b
max a axis out keepdims
mean a axis dtype out keepdims
min a axis out keepdims
ndim a
ones_like a dtype order subok shape
pad array pad_width mode
real val
repeat a repeats axis
reshape a newshape order
result_type *
searchsorted a v side sorter
shape a
size a axis
sort a axis
split ary indices_or_sections axis
stack tup axis out
sum a axis dtype out keepdims
swapaxes a axis1 axis2
tensordot a b axes
tile A reps
trace a offset axis1 axis2 dtype out
where condition x y
zeros shape dtype order
zeros_like a dtype order subok shape
"""

_METHODS = """
all axis out keepdims
any axis out keepdims
argmax axis out dtype keepdims
argmin axis out dtype keepdims
astype dtype order casting subok copy
copy order
dot b out
fill value
max axis out keepdims
mean axis dtype out keepdims
min axis out keepdims
ravel order
repeat repeats axis
reshape *
squeeze axis
std axis dtype out ddof keepdims
sum axis dtype out keepdims
swapaxes axis1 axis2
take indices axis out
trace offset axis1 axis2 dtype out
transpose *
view dtype
"""

PROPERTIES = frozenset(["T", "dtype", "imag", "itemsize", "nbytes", "ndim", "real", "shape", "size", "strides", "flags"])


def _parse(text: str) -> dict[str, tuple[str, ...]]:
    rows = (line.split() for line in text.strip().splitlines())
    return {name: tuple(parameters) if parameters != ["*"] else _ANY for name, *parameters in rows}


_ANY = tuple(f"*{i}" for i in range(8))  # any arguments, up to eight
FUNCTIONS = _parse(_FUNCTIONS)
METHODS = _parse(_METHODS)
