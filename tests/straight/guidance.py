"""Guidance by a classifier and without one."""

import math

from .boundary import array, between, each, examples, integer, integer_array, integers, number, numbers, per_example, shape_of
from .tables import at


def _scales(gamma, x, name="gamma"):
    return [number(name, one) for one in per_example(gamma, shape_of(x)[0], name)]


def classifier_score(score, gradient, gamma):
    return each(lambda s, g, scale: s + scale * g, {"score": score, "gradient": gradient}, [(one,) for one in _scales(gamma, score)])


def classifier_eps(eps, gradient, gamma, t, betas):
    constants = list(zip(_scales(gamma, eps), at(betas, t, eps), strict=True))
    return each(lambda e, g, scale, a: e - math.sqrt(1 - a) * scale * g, {"eps": eps, "gradient": gradient}, constants)


def classifier_free(unconditional, conditional, gamma):
    scales = [(one,) for one in _scales(gamma, conditional)]
    return each(lambda u, c, g: (1 - g) * u + g * c, {"unconditional": unconditional, "conditional": conditional}, scales)


def classifier_free_w(unconditional, conditional, w):
    scales = [(one,) for one in _scales(w, conditional, "w")]
    return each(lambda u, c, w: (1 + w) * c - w * u, {"unconditional": unconditional, "conditional": conditional}, scales)


def classifier_gradient_linear(x, y, weight, bias):
    rows, weight, bias = examples("x", x), examples("weight", weight), numbers("bias", bias)
    labels = integers("y", y, 0, len(bias) - 1)
    if any(len(row) != len(weight) for row in rows) or any(len(row) != len(bias) for row in weight):
        raise ValueError(f"{len(weight)} rows of weight; allowed: x (B, d), weight (d, K), bias (K,)")
    return array([_gradient(row, label, weight, bias) for row, label in zip(rows, labels, strict=True)])


def _gradient(row, label, weight, bias):
    """sum over k of (1 at the label - p_k) times column k of the weight."""
    logits = [bias[k] + sum(row[i] * weight[i][k] for i in range(len(row))) for k in range(len(bias))]
    top = max(logits)
    powers = [math.exp(one - top) for one in logits]
    pull = [(k == label) - powers[k] / sum(powers) for k in range(len(bias))]
    return [sum(pull[k] * weight[i][k] for k in range(len(bias))) for i in range(len(row))]


def drop_labels(y, uniform, probability, no_label):
    probability, no_label = between("probability", probability, 0, 1), integer("no_label", no_label, 0)
    labels, draws = integers("y", y, 0, no_label), numbers("uniform", uniform)
    return integer_array([label if draw >= probability else no_label for label, draw in zip(labels, draws, strict=True)])


def mixture_score(x, t, means, variance, betas):
    return array([_mixed(*_components(row, a, means, variance)) for row, a in zip(examples("x", x), at(betas, t, x), strict=True)])


def mixture_class_gradient(x, t, y, means, variance, betas):
    labels, found = integers("y", y, 0, len(means) - 1), []
    for row, label, a in zip(examples("x", x), labels, at(betas, t, x), strict=True):
        scores, probabilities = _components(row, a, means, variance)
        found.append([own - all_of_them for own, all_of_them in zip(scores[label], _mixed(scores, probabilities), strict=True)])
    return array(found)


def _components(row, a, means, variance):
    """The score and posterior probability of each Gaussian, from log-densities with the largest subtracted."""
    width = a * variance + (1 - a)
    gaps = [[math.sqrt(a) * m - one for m, one in zip(center, row, strict=True)] for center in examples("means", means)]
    logs = [-sum(gap * gap for gap in each) / (2 * width) for each in gaps]
    powers = [math.exp(one - max(logs)) for one in logs]
    return [[gap / width for gap in each] for each in gaps], [power / sum(powers) for power in powers]


def _mixed(scores, probabilities):
    return [sum(chance * score[i] for score, chance in zip(scores, probabilities, strict=True)) for i in range(len(scores[0]))]
