"""N1, T1, L3: a small network of points, its loss and gradient, and its training from given data, noise, times and initial
weights; and the losses of score matching.
"""

import numpy as np

from ..numbers import event_sum, exp, like, per_example, sqrt, trace
from .layers import embedding, embedding_vjp, linear_layer, linear_layer_vjp, silu, silu_vjp, time_features
from .optim import direction, moments
from .predict import weights
from .schedules import alpha_bar


def mlp(x, t, w0, b0, w1, b1, w2, b2, table=None, labels=None):
    """N1 -> y: three linear layers, silu between them, of x beside the time features of t, to which the labels' rows of the table are added.

    x (B, in), t (B,) in 0..1000; there are as many features as w0 has rows more than x has columns.
    """
    return three_layers(network_input(x, t, w0, table, labels), w0, b0, w1, b1, w2, b2)


def mlp_vjp(x, t, w0, b0, w1, b1, w2, b2, table, labels, dy):
    """N1 -> dx, dw0, db0, dw1, db1, dw2, db2, dtable: last layer first."""
    dh, *dweights = three_layers_vjp(network_input(x, t, w0, table, labels), w0, b0, w1, b1, w2, b2, dy)
    dx, dembedded = np.split(dh, [x.shape[1]], axis=1)
    return dx, *dweights, embedding_vjp(labels, table, dembedded)


def network_input(x, t, w0, table=None, labels=None):
    """The input of the network: x concatenated with the sum of the time features and the label embedding."""
    embedded = time_features(t, w0.shape[0] - x.shape[1])
    if table is not None:
        embedded = embedded + embedding(labels, table)
    return np.concatenate([x, embedded], axis=1)


def three_layers(h, w0, b0, w1, b1, w2, b2):
    """Three linear layers with silu between them."""
    h = silu(linear_layer(h, w0, b0))
    h = silu(linear_layer(h, w1, b1))
    return linear_layer(h, w2, b2)


def three_layers_vjp(h, w0, b0, w1, b1, w2, b2, dy):
    """The gradients of three_layers in its input and its parameters."""
    a0 = linear_layer(h, w0, b0)
    a1 = linear_layer(silu(a0), w1, b1)
    dh, dw2, db2 = linear_layer_vjp(silu(a1), w2, b2, dy)
    dh, dw1, db1 = linear_layer_vjp(silu(a0), w1, b1, silu_vjp(a1, dh))
    dh, dw0, db0 = linear_layer_vjp(h, w0, b0, silu_vjp(a0, dh))
    return dh, dw0, db0, dw1, db1, dw2, db2


def mlp_loss(x, t, target, w0, b0, w1, b1, w2, b2, table, labels):
    """T1 -> loss, dw0, db0, dw1, db1, dw2, db2, dtable: the squared error summed over event and batch, and its gradient."""
    error = mlp(x, t, w0, b0, w1, b1, w2, b2, table, labels) - target
    _, *gradient = mlp_vjp(x, t, w0, b0, w1, b1, w2, b2, table, labels, 2 * error)
    return (error**2).sum(), *gradient


def train_mlp(w0, b0, w1, b1, w2, b2, x0, t, noise, betas, kind, rate, beta1, beta2, eps, checkpoints):
    """T1 -> params: the network without labels trained by Adam to predict kind (eps, x0, v); all its numbers after the steps in checkpoints.

    A row of params holds w0, b0, w1, b1, w2, b2, each row by row. Step k sees all of x0 (B, 2), at the times t[i] (B,) and with noise[i],
    i = (k - 1) mod R, R the number of rows of t and noise; it receives 1000 t / T. The loss is the squared error, summed over the event,
    mean over the batch.
    """
    ab = alpha_bar(betas)[t][..., None]
    signal, sigma = sqrt(ab), sqrt(1 - ab)
    a, b = weights(kind, signal, sigma)
    clock = like(1000, x0) * t / len(betas)
    return trained([w0, b0, w1, b1, w2, b2], signal * x0 + sigma * noise, clock, a * x0 + b * noise, rate, beta1, beta2, eps, checkpoints)


def train_mlp_flow(w0, b0, w1, b1, w2, b2, data, t, noise, rate, beta1, beta2, eps, checkpoints):
    """M4 -> params: as train_mlp, at t data + (1 - t) noise for the velocity data - noise, t from 0 (noise) to 1 (data); it receives 1000 t."""
    tau = t[..., None]
    x_t = tau * data + (1 - tau) * noise
    return trained([w0, b0, w1, b1, w2, b2], x_t, 1000 * t, data - noise, rate, beta1, beta2, eps, checkpoints)


def trained(weights_0, x_t, clock, target, rate, beta1, beta2, eps, checkpoints):
    """All parameters as one array after the steps in checkpoints, by Adam; step k uses row (k - 1) mod R of states,
    clock and target.
    """
    inputs = [network_input(x, t, weights_0[0]) for x, t in zip(x_t, clock, strict=True)]
    params, saved = flat(weights_0), []
    m, second = 0 * params, 0 * params
    for step in range(1, checkpoints[-1] + 1):
        row = (step - 1) % len(inputs)
        gradient = flat(loss_gradient(inputs[row], target[row], shaped(params, weights_0)))
        m, second = moments(m, second, gradient, beta1, beta2)
        params = params - rate * direction(m, second, step, beta1, beta2, eps)
        if step in checkpoints:
            saved.append(params)
    return np.stack(saved)


def loss_gradient(h, target, params):
    """The gradient of the squared error, summed over the event, mean over the batch."""
    error = three_layers(h, *params) - target
    _, *gradient = three_layers_vjp(h, *params, 2 * error / len(h))
    return gradient


def flat(arrays):
    """The concatenation of these arrays, each in C order."""
    return np.concatenate([each.ravel() for each in arrays])


def shaped(numbers_in_a_row, arrays):
    """The inverse of flat: arrays of these shapes."""
    ends = np.cumsum([each.size for each in arrays])
    return [part.reshape(each.shape) for part, each in zip(np.split(numbers_in_a_row, ends[:-1]), arrays, strict=True)]


def explicit_score_matching(score, exact):
    """L3 -> loss: squared distance of a model's score (B, ...) to the exact one, summed over the event, (B,); no factor 1/2."""
    return event_sum((score - exact) ** 2)


def denoising_score_matching(score, noise, sigma, weight):
    """L3 -> loss: weight |score + noise / sigma|^2, summed over the event, (B,); score at x_t = signal x0 + sigma noise, sigma and weight () or (B,)."""
    return weight * event_sum((score + noise / per_example(sigma, noise)) ** 2)


def implicit_score_matching(score, jacobian):
    """L3 -> loss: |score|^2 + 2 trace(jacobian), (B,); jacobian (B, d, d) is that of the score (B, d) in x; no factor 1/2."""
    return event_sum(score**2) + 2 * np.array([trace(each) for each in jacobian])


def sliced_score_matching(score, jacobian, probe, reduced):
    """L3 -> loss: square + 2 probe^T jacobian probe, (B,), of a score (B, d) with its jacobian (B, d, d), along probe (B, d).

    The square is |score|^2 if reduced is yes, and (probe^T score)^2 if it is no; no factor 1/2.
    """
    square = event_sum(score**2) if reduced == "yes" else event_sum(probe * score) ** 2
    return square + 2 * event_sum(probe * (jacobian * probe[:, None, :]).sum(axis=2))


def score_weight(t, beta_min, beta_max, kind):
    """L3 -> weight: of a score's squared error at t () or (B,) in 0..1 of the variance-preserving SDE with beta(t) = beta_min + t (beta_max - beta_min).

    kind: variance, sigma^2 = 1 - exp(-integral of beta from 0 to t); likelihood, g^2 = beta(t).
    """
    if kind == "likelihood":
        return beta_min + t * (beta_max - beta_min)
    return 1 - exp(-(beta_min * t + t**2 * (beta_max - beta_min) / 2))
