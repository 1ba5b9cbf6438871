r"""Classifier guidance and classifier-free guidance: with $\gamma = 0$ the label is ignored, $\gamma = 1$ is the conditional model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..arrays import Array, GaussianPath, Model, Number, Time, as_array, like
from ..checks import check_arrays, check_count, check_integer, check_labels, check_number, check_scalar, check_shape, per_example


def classifier_score(score: Array, gradient: Array, gamma: Number) -> Array:
    r"""Classifier guidance of a score: Bayes' rule with the classifier's gradient scaled by $\gamma$.

    $$\nabla \log p_\gamma(x_t | y) = \nabla \log p(x_t) + \gamma \nabla \log p(y | x_t)$$

    `score`, `gradient` (B, ...), both with respect to $x_t$; `gamma` () or (B,).
    Source: G1 [Song et al. eq. 14], [Dhariwal & Nichol sec. 4.3].
    """
    check_arrays(score=score, gradient=gradient)
    return score + like(check_number("gamma", gamma), score, "gamma") * gradient


def classifier_eps(eps: Array, gradient: Array, gamma: Number, t: Time, path: GaussianPath) -> Array:
    r"""Classifier guidance of an $\epsilon$-prediction, where $\epsilon = -\sigma_t \nabla \log p(x_t)$.

    $$\epsilon_\gamma = \epsilon - \gamma \sigma_t \nabla \log p(y | x_t)$$

    Source: G1 [Dhariwal & Nichol alg. 2].
    """
    check_arrays(eps=eps, gradient=gradient)
    gamma, (_, sigma) = per_example("gamma", gamma, eps), path.signal_sigma(t)
    return eps - like(gamma * per_example("t", sigma, eps), eps, "gamma") * gradient


def classifier_gradient(logits: Array, vjp: Callable[[Array], tuple[object, Array]], y: Array) -> Array:
    r"""Gradient of $\log p(y | x_t)$ in $x_t$, from a classifier's logits (B, K) and its backward pass.

    $$\nabla_x \log \mathrm{softmax}(z)_y = \Bigl(\frac{\partial z}{\partial x}\Bigr)^T (e_y - \mathrm{softmax}(z))$$

    The backward pass is `vjp(dlogits)` -> (`dp`, `dx`). `y` (B,) holds integer labels.
    Source: G2 [Dhariwal & Nichol sec. 4].
    """
    check_arrays(logits=logits)
    check_shape("logits", logits, "B", "K")
    y = np.asarray(check_labels("y", y, logits.shape[1], logits), like=logits)
    weights = np.exp(logits - logits.real.max(axis=1, keepdims=True))
    one_hot = (np.arange(logits.shape[1], like=logits) == y[:, None]).astype(logits.dtype)
    others = (1 - one_hot) * weights / weights.sum(axis=1, keepdims=True)
    _, dx = vjp(one_hot * others.sum(axis=1, keepdims=True) - others)  # 1 - softmax(z)_y is the sum of the others
    return dx


def classifier_free(unconditional: Array, conditional: Array, gamma: Number) -> Array:
    r"""Classifier-free guidance: extrapolate from the unconditional to the conditional prediction of one network.

    $$guided = (1 - \gamma)\, unconditional + \gamma\, conditional$$

    It applies to scores and to every prediction that is affine in the score: $\epsilon$, $x_0$, $v$ and velocity.
    `gamma` () or (B,); 0 and 1 return the unconditional and the conditional prediction bit for bit.
    Source: G3 [Ho & Salimans eq. 6].
    """
    check_arrays(unconditional=unconditional, conditional=conditional)
    scale = like(check_number("gamma", gamma), unconditional, "gamma")
    return (1 - scale) * unconditional + scale * conditional


def scale_from_w(w: float) -> float:
    r"""Guidance scale $\gamma = 1 + w$ from the weight $w$ of $(1 + w)\, conditional - w\, unconditional$.

    Ho & Salimans use $w$; the conditional model without guidance has $w = 0$. Imagen, GLIDE and the diffusers library
    use $\gamma$; the conditional model without guidance has $\gamma = 1$.
    Source: G3 [Ho & Salimans eq. 6], [GLIDE sec. 2.3].
    """
    return 1 + check_number("w", w)


def w_from_scale(gamma: Number) -> float:
    r"""Guidance weight $w = \gamma - 1$ from the scale $\gamma$. Source: G3 [Ho & Salimans eq. 6]."""
    return check_number("gamma", gamma) - 1


def drop_labels(y: Array, uniform: Array, probability: float, no_label: int) -> Array:
    r"""Label dropout for classifier-free training: `no_label` where `uniform` < `probability`, else `y`; all (B,).

    Source: G3 [Ho & Salimans alg. 1].
    """
    y, no_label = check_integer("y", as_array(y, "y"), 0, 2**62), check_count("no_label", no_label, 0, 2**62)
    probability, uniform = check_scalar("probability", probability, 0, 1), check_number("uniform", uniform, 0, 1)
    if np.shape(uniform) != np.shape(y):
        raise ValueError(f"uniform has shape {np.shape(uniform)}; allowed: {np.shape(y)}, the shape of y")
    return np.where(uniform < probability, no_label, y)


def guided(model: Model, y: Array, gamma: Number, no_label: int) -> Model:
    """Guided `model(x, t)` from a conditional `model(x, t, y)`: one call on a batch of twice the size gives both predictions.

    Source: G3 [Ho & Salimans alg. 2].
    """
    y, no_label = check_integer("y", as_array(y, "y"), 0, 2**62), check_count("no_label", no_label, 0, 2**62)
    gamma = check_number("gamma", gamma)

    def guided_model(x: Array, t: Time) -> Array:
        if y.shape != x.shape[:1]:
            raise ValueError(f"y has shape {y.shape}; allowed: {x.shape[:1]}, one label for each example of x")
        both = np.concatenate([np.full_like(y, no_label), y])
        times = np.concatenate([t, t]) if np.ndim(t) else t
        unconditional, conditional = np.split(model(np.concatenate([x, x]), times, both), 2)
        return classifier_free(unconditional, conditional, gamma)

    return guided_model
