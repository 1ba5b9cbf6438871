"""G1-G3: guidance by a classifier, and without one. gamma = 0 ignores the label, gamma = 1 is the conditional model."""

import numpy as np

from ..numbers import exp, per_example, sqrt
from .schedules import alpha_bar


def classifier_score(score, gradient, gamma):
    """G1 -> score: score + gamma gradient, the gradient being that of log p(y | x_t) in x_t; gamma () or (B,)."""
    return score + per_example(gamma, score) * gradient


def classifier_eps(eps, gradient, gamma, t, betas):
    """G1 -> eps: the same for eps = -sigma score."""
    sigma = sqrt(1 - alpha_bar(betas)[per_example(t, eps)])
    return eps - per_example(gamma, eps) * sigma * gradient


def classifier_free(unconditional, conditional, gamma):
    """G3 -> prediction: (1 - gamma) unconditional + gamma conditional; gamma () or (B,)."""
    gamma = per_example(gamma, conditional)
    return (1 - gamma) * unconditional + gamma * conditional


def classifier_free_w(unconditional, conditional, w):
    """G3 -> prediction: the other convention of the scale, (1 + w) conditional - w unconditional; w = 0 is the conditional model."""
    return (1 + w) * conditional - w * unconditional


def classifier_gradient_linear(x, y, weight, bias):
    """G2 -> gradient: of log softmax(x weight + bias)_y in x; x (B, d), y (B,) integers, weight (d, K), bias (K,)."""
    scores = exp(x @ weight + bias)
    softmax = scores / scores.sum(axis=1)[:, None]
    one_hot = np.arange(len(bias))[None, :] == y[:, None]
    return (one_hot.astype(int) - softmax) @ weight.T


def drop_labels(y, uniform, probability, no_label):
    """G3 -> labels: y where uniform >= probability, else no_label; (B,)."""
    return np.where(uniform < probability, no_label, y)
