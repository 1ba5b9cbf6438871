"""G1-G3: classifier guidance and classifier-free guidance. gamma = 0 ignores the label, gamma = 1 is the conditional model."""

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


def mixture_score(x, t, means, variance, betas):
    """C1, G4 -> score: of x_t, (B, d), for data of equally likely Gaussians N(means_k, variance I), means (K, d): sum_k p(k | x_t) score_k.

    score_k = -(x_t - sqrt(alpha_bar_t) means_k) / width, width = alpha_bar_t variance + 1 - alpha_bar_t.
    """
    scores, chances = components(x, t, means, variance, betas)
    return (chances[:, :, None] * scores).sum(axis=1)


def mixture_class_gradient(x, t, y, means, variance, betas):
    """G1, G4 -> gradient: of log p(y | x_t) in x_t, y (B,) the number of a Gaussian of mixture_score: score_y less the mixture's score."""
    scores, _ = components(x, t, means, variance, betas)
    return scores[np.arange(len(x)), y] - mixture_score(x, t, means, variance, betas)


def components(x, t, means, variance, betas):
    """Every Gaussian's score at every x, (B, K, d), and its probability given x, (B, K)."""
    ab = alpha_bar(betas)[t]
    width = ab * variance + 1 - ab
    scores = -(x[:, None] - sqrt(ab) * means[None]) / width
    weights_of_x = exp(-width * (scores**2).sum(axis=2) / 2)
    return scores, weights_of_x / weights_of_x.sum(axis=1)[:, None]
