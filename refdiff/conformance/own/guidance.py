"""Operations of refdiff: classifier guidance and classifier-free guidance."""

import numpy as np

from ...networks import layers
from ...sampling import guidance, oracles
from .schedules import schedule_of


def classifier_score(score, gradient, gamma):
    return guidance.classifier_score(score, gradient, gamma)


def classifier_eps(eps, gradient, gamma, t, betas):
    return guidance.classifier_eps(eps, gradient, gamma, t, schedule_of(betas))


def classifier_free(unconditional, conditional, gamma):
    return guidance.classifier_free(unconditional, conditional, gamma)


def classifier_free_w(unconditional, conditional, w):
    return guidance.classifier_free(unconditional, conditional, guidance.scale_from_w(w))


def classifier_gradient_linear(x, y, weight, bias):
    logits, vjp = layers.linear({"w": weight, "b": bias}, x)
    return guidance.classifier_gradient(logits, vjp, y)


def drop_labels(y, uniform, probability, no_label):
    return guidance.drop_labels(y, uniform, probability, no_label)


def mixture_score(x, t, means, variance, betas):
    return _mixture(means, variance).score(x, *schedule_of(betas).signal_sigma(t))


def mixture_class_gradient(x, t, y, means, variance, betas):
    return _mixture(means, variance).class_gradient(x, *schedule_of(betas).signal_sigma(t), y)


def _mixture(means, variance):
    K, d = means.shape
    return oracles.mixture(means, [variance * np.eye(d)] * K, labels=np.arange(K))
