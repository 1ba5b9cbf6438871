"""Metrics of samples: distances between sets and between Gaussians, and scores of class probabilities."""

import math

from .boundary import choice, examples, integer, integers, nested, number, numbers
from .matrices import multiply, transpose


def _sets(x, y, least=1):
    x, y = nested("x", x, 2), nested("y", y, 2)
    if len(x[0]) != len(y[0]) or min(len(x), len(y)) < least:
        raise ValueError(
            f"x, y have {len(x)}, {len(y)} points of {len(x[0])}, {len(y[0])} numbers; allowed: {least} or more each of the same dimension"
        )
    return x, y


def _pair_mean(kernel, points, statistic):
    pairs = [(a, b) for i, a in enumerate(points) for j, b in enumerate(points) if statistic == "V" or i != j]
    return math.fsum(kernel(a, b) for a, b in pairs) / len(pairs)


def _two(kernel, x, y, statistic):
    choice("statistic", statistic, ("V", "U"))
    x, y = _sets(x, y, 1 if statistic == "V" else 2)
    cross = math.fsum(kernel(a, b) for a in x for b in y) / (len(x) * len(y))
    return _pair_mean(kernel, x, statistic) + _pair_mean(kernel, y, statistic) - 2 * cross


def energy_distance(x, y, statistic):
    return _two(lambda a, b: -math.dist(a, b), x, y, statistic)


def mmd(x, y, bandwidth, statistic):
    if number("bandwidth", bandwidth) <= 0:
        raise ValueError(f"bandwidth = {bandwidth}; allowed: above 0")
    return _two(lambda a, b: math.exp(-((math.dist(a, b) / bandwidth) ** 2) / 2), x, y, statistic)


def kid(x, y, statistic):
    return _two(lambda a, b: (1 + sum(p * q for p, q in zip(a, b, strict=True)) / len(a)) ** 3, x, y, statistic)


def _mean_and_deviation(values):
    mean = math.fsum(values) / len(values)
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))


def kid_over_subsets(x, y, rows_x, rows_y):
    x, y = _sets(x, y)
    rows = [
        [integers(name, row, 0, len(points) - 1) for row in given] for name, given, points in (("rows_x", rows_x, x), ("rows_y", rows_y, y))
    ]
    if len(rows[0]) != len(rows[1]):
        raise ValueError(f"rows_x, rows_y have {len(rows[0])}, {len(rows[1])} subsets; allowed: the same number")
    return _mean_and_deviation([kid([x[k] for k in i], [y[k] for k in j], "U") for i, j in zip(*rows, strict=True)])


def frechet_of_features(x, y):
    found = []
    for points in _sets(x, y, 2):
        mean = [math.fsum(column) / len(points) for column in zip(*points, strict=True)]
        centered = [[value - middle for value, middle in zip(point, mean, strict=True)] for point in points]
        found += [mean, [[value / (len(points) - 1) for value in row] for row in multiply(transpose(centered), centered)]]
    return frechet_distance(*found)


def frechet_distance(mean1, cov1, mean2, cov2):
    mean1, mean2 = numbers("mean1", mean1), numbers("mean2", mean2)
    one, two = _factor("cov1", examples("cov1", cov1)), _factor("cov2", examples("cov2", cov2))
    traces = sum(value**2 for low in (one, two) for row in low for value in row)
    return sum((a - b) ** 2 for a, b in zip(mean1, mean2, strict=True)) + traces - 2 * _nuclear_norm(multiply(transpose(one), two))


def _factor(name, a):
    """L with L L^T = a, column by column, for a singular matrix too: a column whose pivot vanishes is 0."""
    d, rest, columns = len(a), [list(row) for row in a], []
    size = max(abs(value) for row in a for value in row)
    if any(abs(a[i][j] - a[j][i]) > 1e-9 * size for i in range(d) for j in range(d)):
        raise ValueError(f"{name} = {a}; allowed: symmetric")
    for k in range(d):
        pivot = rest[k][k]
        if pivot < -1e-12 * size or (pivot <= 1e-14 * size and any(abs(value) > 1e-7 * size for value in rest[k])):
            raise ValueError(f"{name} = {a}; allowed: positive semidefinite")
        column = [rest[i][k] / math.sqrt(pivot) if pivot > 1e-14 * size else 0.0 for i in range(d)]
        rest = [[rest[i][j] - column[i] * column[j] for j in range(d)] for i in range(d)]
        columns.append(column)
    return transpose(columns)


def _nuclear_norm(a):
    """The sum of the singular values: columns are rotated in pairs until they are orthogonal, and their lengths added up."""
    columns = transpose(a)
    for _ in range(30):
        for i in range(len(columns)):
            for j in range(i):
                p, q = columns[i], columns[j]
                pp, qq, pq = (math.fsum(u * v for u, v in zip(*pair, strict=True)) for pair in ((p, p), (q, q), (p, q)))
                angle = math.atan2(2 * pq, pp - qq) / 2
                c, s = math.cos(angle), math.sin(angle)
                columns[i] = [c * u + s * v for u, v in zip(p, q, strict=True)]
                columns[j] = [c * v - s * u for u, v in zip(p, q, strict=True)]
    return sum(math.sqrt(math.fsum(value**2 for value in column)) for column in columns)


def at_infinity(sizes, values):
    sizes, values = numbers("sizes", sizes), numbers("values", values)
    if len(set(sizes)) < 2 or len(sizes) != len(values):
        raise ValueError(f"sizes = {sizes}; allowed: two different ones or more, one for each value")
    # the normal equations of value = a + b / n, by Cramer's rule
    ones, first, second = len(sizes), math.fsum(1 / n for n in sizes), math.fsum(1 / n**2 for n in sizes)
    right, mixed = math.fsum(values), math.fsum(value / n for n, value in zip(sizes, values, strict=True))
    return (right * second - first * mixed) / (ones * second - first**2)


def inception_score(probabilities, splits):
    rows = nested("probabilities", probabilities, 2)
    if any(abs(math.fsum(row) - 1) > 1e-6 or min(row) < 0 for row in rows):
        raise ValueError(f"probabilities = {rows}; allowed: rows that are not below 0 and sum to 1")
    splits = integer("splits", splits, 1, len(rows))
    scores = []
    for k in range(splits):
        part = rows[k * len(rows) // splits : (k + 1) * len(rows) // splits]
        average = [math.fsum(column) / len(part) for column in zip(*part, strict=True)]
        scores.append(math.exp(_entropy(average) - math.fsum(map(_entropy, part)) / len(part)))
    return _mean_and_deviation(scores)


def _entropy(row):
    return -math.fsum(p * math.log(p) for p in row if p > 0)
