"""A latent variable z from N(0, I), and x from N(loading z + bias, variance I)."""

import math

from .boundary import array, examples, number, numbers, shape_of
from .gaussian import divergence, log_normal_full
from .matrices import factor, inverse, log_determinant, multiply, times, transpose


def _log_mean(values):
    top = max(values)
    return top + math.log(sum(math.exp(one - top) for one in values) / len(values))


def marginal_likelihood(log_likelihood):
    return array([_log_mean(samples) for samples in transpose(examples("log_likelihood", log_likelihood))])


def importance_weighted(log_joint, log_q):
    if shape_of(log_joint) != shape_of(log_q):
        raise ValueError(f"log_joint and log_q have shapes {shape_of(log_joint)} and {shape_of(log_q)}; allowed: one shape")
    rows = zip(examples("log_joint", log_joint), examples("log_q", log_q), strict=True)
    return array([_log_mean(samples) for samples in transpose([[p - q for p, q in zip(*row, strict=True)] for row in rows])])


def _model(x, loading, bias, variance):
    """All arguments as lists; checks that the variance is above 0."""
    variance = number("variance", variance)
    if variance <= 0:
        raise ValueError(f"variance = {variance}; allowed: above 0")
    return examples("x", x), examples("loading", loading), numbers("bias", bias), variance


def latent_log_marginal(x, loading, bias, variance):
    x, loading, bias, variance = _model(x, loading, bias, variance)
    spread = multiply(loading, transpose(loading))
    low = factor("covariance", [[spread[i][j] + variance * (i == j) for j in range(len(bias))] for i in range(len(bias))])
    return array([log_normal_full(one, bias, low) for one in x])


def _posterior(x, loading, bias, variance):
    """Means of every example and the covariance."""
    size = len(loading[0])
    inner = multiply(transpose(loading), loading)
    precision = [[float(i == j) + inner[i][j] / variance for j in range(size)] for i in range(size)]
    covariance = inverse(factor("precision", precision))
    pulls = [times(transpose(loading), [a - b for a, b in zip(one, bias, strict=True)]) for one in x]
    return [times(covariance, [p / variance for p in pull]) for pull in pulls], covariance


def latent_posterior(x, loading, bias, variance):
    means, covariance = _posterior(*_model(x, loading, bias, variance))
    return array(means), array(covariance)


def latent_elbo(x, mean, covariance, loading, bias, variance):
    x, loading, bias, variance = _model(x, loading, bias, variance)
    covariance = examples("covariance", covariance)
    low = factor("covariance", covariance)
    spread = multiply(multiply(loading, covariance), transpose(loading))
    lost = sum(spread[i][i] for i in range(len(bias))) / (2 * variance)
    answers = []
    for one, centre in zip(x, examples("mean", mean), strict=True):
        there = [a + b for a, b in zip(times(loading, centre), bias, strict=True)]
        square = sum((a - b) ** 2 for a, b in zip(one, there, strict=True))
        fit = -square / (2 * variance) - len(bias) * math.log(2 * math.pi * variance) / 2
        trace = sum(covariance[i][i] for i in range(len(low)))
        answers.append(fit - lost - (trace - len(low) + sum(m * m for m in centre) - log_determinant(low)) / 2)
    return array(answers)


def latent_gap(x, mean, covariance, loading, bias, variance):
    means, exact = _posterior(*_model(x, loading, bias, variance))
    low, exact_low = factor("covariance", examples("covariance", covariance)), factor("covariance of the posterior", exact)
    pairs = zip(examples("mean", mean), means, strict=True)
    return array([divergence(one, low, other, exact_low) for one, other in pairs])
