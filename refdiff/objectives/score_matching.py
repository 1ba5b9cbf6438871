r"""Score matching: four losses with the same minimum, of which three do not need the score of the data."""

from __future__ import annotations

from ..arrays import Array, Number, Time, like, sum_event
from ..checks import check_arrays, check_choice, check_flag, check_real, per_example
from ..process.sde import Sde

WEIGHTS = ("variance", "likelihood")


def explicit(score: Array, exact: Array) -> Array:
    r"""Explicit score matching: squared error of a model's score against the exact score at the same points; (B,).

    $$L_{ESM} = \|s_\theta(x) - \nabla \log p(x)\|^2$$

    Both scores are (B, ...). The papers have half of this. Source: L3 [Hyvarinen 2005], [Vincent 2011].
    """
    check_arrays(score=score, exact=exact)
    return sum_event((score - exact) ** 2)


def denoising(score: Array, eps: Array, sigma: Number) -> Array:
    r"""Denoising score matching at $x_t = signal\, x_0 + \sigma \epsilon$: squared error against the score of $q(x_t | x_0)$; (B,).

    $$L_{DSM} = \|s_\theta(x_t) + \epsilon / \sigma\|^2, \qquad E[L_{DSM} - L_{ESM}] = \frac{d}{\sigma^2} - E \|\nabla \log p_t\|^2$$

    The difference does not depend on the model, so both losses have the same gradient in $\theta$. `score` and `eps` are (B, ...) with $d$ numbers
    per example, `sigma` is () or (B,), and at least 1e-12. Source: L3 [Vincent 2011], [Song et al. eq. 7].
    """
    check_arrays(score=score, eps=eps)
    check_real(sigma=sigma)
    target = eps / like(per_example("sigma", sigma, eps, 1e-12), eps, "sigma")
    check_arrays(**{"score": score, "eps / sigma": target})
    return sum_event((score + target) ** 2)


def implicit(score: Array, divergence: Array) -> Array:
    r"""Implicit score matching, by the divergence $\nabla \cdot s_\theta$ (B,) in place of the exact score; (B,), of either sign.

    $$L_{ISM} = \|s_\theta(x)\|^2 + 2 \nabla \cdot s_\theta(x), \qquad E[L_{ISM} - L_{ESM}] = -E \|\nabla \log p\|^2$$

    `likelihood.divergence` computes the divergence of a model. The paper has half of this. Source: L3 [Hyvarinen 2005].
    """
    check_arrays(score=score)
    square = sum_event(score**2)
    return square + 2 * like(per_example("divergence", divergence, score), square, "divergence")


def sliced(score: Array, probe: Array, slope: Array, reduced: bool = True) -> Array:
    r"""Sliced score matching, along a random direction $v$ with $E[v v^T] = I$; (B,), of either sign.

    $$L_{SSM} = \|s_\theta(x)\|^2 + 2 v^T \frac{\partial s_\theta}{\partial x} v$$

    Its mean over $v$ is $L_{ISM}$. `probe` is $v$, shaped like `score`, and `slope` (B,) the product, from `likelihood.hutchinson`. If it is not
    `reduced`, the first term is $(v^T s_\theta)^2$, with the same mean and a larger variance. The paper has half of this. Source: L3 [SSM].
    """
    check_arrays(score=score, probe=probe)
    square = sum_event(score**2) if check_flag("reduced", reduced) else sum_event(probe * score) ** 2
    return square + 2 * like(per_example("slope", slope, score), square, "slope")


def weight(t: Time, sde: Sde, kind: str = "variance") -> Array:
    r"""Weight $\lambda(t)$ of a score-matching loss at time `t`, () or (B,), for `elbo.weighted`.

    $$\lambda = \sigma^2 \;\text{("variance")}, \qquad \lambda = g^2 \;\text{("likelihood")}$$

    With $\sigma^2$ the denoising loss is the squared error of $\epsilon$. With $g^2$ the integral of the explicit loss over time is twice a bound
    of the KL divergence from the data to the model, up to the difference at the end. Source: L3 [Song et al. eq. 7], [Song et al. 2021].
    """
    check_choice("kind", kind, WEIGHTS)
    check_real(t=t)
    return sde.signal_sigma(t)[1] ** 2 if kind == "variance" else sde.drift_diffusion(t)[1]
