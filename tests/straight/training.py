"""A small MLP, its loss and its training; losses of score matching."""

import math

from .boundary import array, between, choice, examples, integers, number, per_example, shape_of, to_list, total
from .flow import interpolate, velocity
from .forward import q_sample
from .layers import affine, back, features_of, leaves_of, silu_of, slopes, values
from .optim import AdamState
from .predict import target as target_of
from .tables import kept
from .tape import dot, flat, lift, pull_back


def _network(x, t, weights, table=None, labels=None):
    """Three linear layers of x beside the time features, to which the labels' rows are added."""
    w0, b0, w1, b1, w2, b2 = weights
    embedded = lift(features_of(t, len(w0) - len(x[0])))
    if table is not None:
        chosen = integers("labels", labels, 0, len(table) - 1)
        embedded = [[a + b for a, b in zip(row, table[label], strict=True)] for row, label in zip(embedded, chosen, strict=True)]
    hidden = silu_of(affine([one + row for one, row in zip(x, embedded, strict=True)], w0, b0))
    return affine(silu_of(affine(hidden, w1, b1)), w2, b2)


def _weights(w0, b0, w1, b1, w2, b2):
    return leaves_of(w0=w0, b0=b0, w1=w1, b1=b1, w2=w2, b2=b2)


def mlp(x, t, w0, b0, w1, b1, w2, b2, table=None, labels=None):
    x, table = leaves_of(x=x, table=table)
    return values(_network(x, t, _weights(w0, b0, w1, b1, w2, b2), table, labels))


def mlp_vjp(x, t, w0, b0, w1, b1, w2, b2, table, labels, dy):
    x, table = leaves_of(x=x, table=table)
    weights = _weights(w0, b0, w1, b1, w2, b2)
    return back(_network(x, t, weights, table, labels), dy, x, *weights, table)


def _squared(y, target):
    """The sum of squared differences."""
    apart = [a - b for a, b in zip(flat(y), flat(target), strict=True)]
    return dot(apart, apart)


def mlp_loss(x, t, target, w0, b0, w1, b1, w2, b2, table, labels):
    x, target, table = leaves_of(x=x, target=target, table=table)
    weights = _weights(w0, b0, w1, b1, w2, b2)
    loss = _squared(_network(x, t, weights, table, labels), target)
    pull_back(loss, 1.0)
    return values(loss), *(slopes(leaf) for leaf in weights), slopes(table)


def _trained(weights, batches, rate, beta1, beta2, eps, checkpoints):
    """The parameters in one row after the requested steps; batches(k) gives input, time and target of step k."""
    shapes = [shape_of(w) for w in weights]
    state = AdamState([p for w in weights for p in examples("weights", [w])[0]], rate, beta1, beta2, eps)
    kept_rows, wanted = {}, integers("checkpoints", checkpoints, 1, None)
    for k in range(1, max(wanted) + 1):
        leaves = [lift(to_list(one)) for one in _cut(state.params, shapes)]
        x, t, goal = batches(k)
        loss = _squared(_network(lift(to_list(x)), t, leaves), lift(to_list(goal)))
        pull_back(loss, 1 / len(x))
        kept_rows[k] = state.step([one.slope for leaf in leaves for one in flat(leaf)])
    return array([kept_rows[k] for k in wanted])


def _cut(row, shapes):
    """Split a row into arrays of the shapes."""
    pieces, used = [], 0
    for shape in shapes:
        size = shape[0] * (shape[1] if len(shape) > 1 else 1)
        pieces.append(array(row[used : used + size], shape))
        used += size
    return pieces


def train_mlp(w0, b0, w1, b1, w2, b2, x0, t, noise, betas, kind, rate, beta1, beta2, eps, checkpoints):
    choice("kind", kind, ("eps", "x0", "v"))
    last = len(kept(betas)) - 1

    def batch(k):
        i = (k - 1) % len(t)
        clock = [1000 * int(time) / last for time in per_example(t[i], len(x0), "t")]
        return q_sample(x0, t[i], betas, noise[i]), clock, target_of(kind, x0, noise[i], t[i], betas)

    return _trained((w0, b0, w1, b1, w2, b2), batch, rate, beta1, beta2, eps, checkpoints)


def train_mlp_flow(w0, b0, w1, b1, w2, b2, data, t, noise, rate, beta1, beta2, eps, checkpoints):
    def batch(k):
        i = (k - 1) % len(t)
        clock = [1000 * time for time in per_example(t[i], len(data), "t")]
        return interpolate(data, noise[i], t[i], "straight"), clock, velocity(data, noise[i], t[i], "straight")

    return _trained((w0, b0, w1, b1, w2, b2), batch, rate, beta1, beta2, eps, checkpoints)


def explicit_score_matching(score, exact):
    return total(lambda s, e: s * s - 2 * s * e + e * e, {"score": score, "exact": exact})


def denoising_score_matching(score, noise, sigma, weight):
    count = shape_of(score)[0]
    constants = list(zip(per_example(sigma, count, "sigma"), per_example(weight, count, "weight"), strict=True))
    if any(number("sigma", each) <= 0 for each, _ in constants):
        raise ValueError(f"sigma = {sigma}; allowed: above 0")
    return total(lambda s, z, b, w: w / (b * b) * (b * s + z) ** 2, {"score": score, "noise": noise}, constants)


def implicit_score_matching(score, jacobian):
    rows = zip(examples("score", score), to_list(jacobian), strict=True)
    return array([math.fsum(s * s + 2 * matrix[i][i] for i, s in enumerate(one)) for one, matrix in rows])


def sliced_score_matching(score, jacobian, probe, reduced):
    choice("reduced", reduced, ("yes", "no"))
    found = []
    for one, matrix, v in zip(examples("score", score), to_list(jacobian), examples("probe", probe), strict=True):
        square = math.fsum(s * s for s in one) if reduced == "yes" else math.fsum(s * w for s, w in zip(one, v, strict=True)) ** 2
        found.append(square + 2 * math.fsum(v[i] * matrix[i][j] * v[j] for i in range(len(v)) for j in range(len(v))))
    return array(found)


def score_weight(t, beta_min, beta_max, kind):
    choice("kind", kind, ("variance", "likelihood"))
    found = []
    for time in per_example(t, shape_of(t)[0] if shape_of(t) else 1, "t"):
        time = between("t", time, 0, 1)
        if kind == "likelihood":
            found.append((1 - time) * beta_min + time * beta_max)
        else:
            found.append(-math.expm1(-time * ((1 - time / 2) * beta_min + time / 2 * beta_max)))
    return array(found, shape_of(t))
