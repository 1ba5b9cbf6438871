"""Small symmetric matrices as lists of rows: Cholesky factor, determinant and inverse."""

import math


def factor(name, a):
    """The lower triangle L with L L^T = a."""
    d = len(a)
    if any(len(row) != d for row in a) or any(abs(a[i][j] - a[j][i]) > 1e-9 * abs(a[i][j]) for i in range(d) for j in range(i)):
        raise ValueError(f"{name} = {a}; allowed: square and symmetric")
    low = [[0.0] * d for _ in range(d)]
    for i in range(d):
        for j in range(i + 1):
            left = a[i][j] - sum(low[i][k] * low[j][k] for k in range(j))
            if i == j and left <= 0:
                raise ValueError(f"{name} = {a}; allowed: positive definite")
            low[i][j] = math.sqrt(left) if i == j else left / low[j][j]
    return low


def forward(low, y):
    """L^-1 y."""
    x = []
    for i in range(len(y)):
        x.append((y[i] - sum(low[i][k] * x[k] for k in range(i))) / low[i][i])
    return x


def backward(low, y):
    """L^-T y."""
    x = [0.0] * len(y)
    for i in reversed(range(len(y))):
        x[i] = (y[i] - sum(low[k][i] * x[k] for k in range(i + 1, len(y)))) / low[i][i]
    return x


def log_determinant(low):
    """log det of L L^T."""
    return 2 * sum(math.log(low[i][i]) for i in range(len(low)))


def inverse(low):
    """The inverse of L L^T."""
    d = len(low)
    columns = [backward(low, forward(low, [float(i == j) for i in range(d)])) for j in range(d)]
    return [[columns[j][i] for j in range(d)] for i in range(d)]


def times(a, x):
    """A matrix times a vector."""
    return [sum(a_ij * x_j for a_ij, x_j in zip(row, x, strict=True)) for row in a]


def multiply(a, b):
    """A matrix times a matrix."""
    return transpose([times(a, column) for column in transpose(b)])


def transpose(a):
    """Rows as columns."""
    return [list(column) for column in zip(*a, strict=True)]
