"""Gaussian densities: log-density, score, entropy, KL divergence, product, quotient, and discretized likelihood.

Log-densities, entropies and divergences are in nats and summed over the event.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import log_ndtr

from ..arrays import LARGEST, Array, Number, as_array, cast, code, event_size, holds, sum_event
from ..checks import check_arrays, check_broadcast, check_count, check_number, check_real, check_shape, per_example, together

LOG_2PI = float(np.log(2 * np.pi))
SMALLEST = {"f4": 1e-36, "f8": 1e-300}  # variance by dtype: below, a square divided by it may overflow
GAUSS = (0.2386191860831969, 0.467913934572691), (0.6612093864662645, 0.3607615730481386), (0.9324695142031521, 0.1713244923791704)


def log_density(x: Array, mean: Array, variance: Number) -> Array:
    r"""Log-density of a Gaussian with independent coordinates; x (B, ...), mean and variance broadcast to it; (B,) nats.

    $$\log \mathcal N(x; \mu, \sigma^2) = -\tfrac12 \sum_i \Bigl(\frac{(x_i - \mu_i)^2}{\sigma_i^2} + \log 2\pi\sigma_i^2\Bigr)$$

    Raises where a variance is not positive. Source: F1 [DDPM eq. 2].
    """
    mean, variance = _in_precision("x", x, mean=mean, variance=variance)
    return -sum_event((x - mean) ** 2 / variance + (np.log(variance) + LOG_2PI)) / 2


def score(x: Array, mean: Array, variance: Array) -> Array:
    r"""Score of a Gaussian: gradient of its log-density in $x$, which points to the mean; shaped like `x`.

    $$\nabla_x \log \mathcal N(x; \mu, \sigma^2) = -\frac{x - \mu}{\sigma^2} = -\frac\epsilon\sigma \quad \text{for } x = \mu + \sigma \epsilon$$

    Source: C1 [PRML eq. 2.43].
    """
    mean, variance = _in_precision("x", x, mean=mean, variance=variance)
    return -(x - mean) / variance


def log_density_full(x: Array, mean: Array, covariance: Array) -> Array:
    r"""Log-density of a Gaussian with full covariance; x (B, d), mean (d,) or (B, d), covariance (d, d); (B,) nats.

    $$\log \mathcal N(x; \mu, \Sigma) = -\tfrac12 (x - \mu)^T \Sigma^{-1} (x - \mu) - \tfrac12 \log\det 2\pi\Sigma$$

    Raises where the covariance is not positive definite. Source: E1 [PRML eq. 2.43].
    """
    check_shape("x", x, "B", "d")
    (mean,), (_, root) = _in_precision("x", x, mean=mean), _cholesky("covariance", covariance, x)
    whitened = np.linalg.solve(root, (x - mean).T)
    return -((whitened**2).sum(axis=0) / 2 + np.log(np.diag(root)).sum() + x.shape[1] * LOG_2PI / 2)


def entropy(x: Array, variance: Array) -> Array:
    r"""Entropy of a Gaussian with independent coordinates; (B,) nats. `x` (B, ...) is used for its shape only.

    $$H = \tfrac12 \sum_i \log 2\pi e \sigma_i^2$$

    Source: E1 [PRML eq. B.41].
    """
    (variance,) = _in_precision("x", x, variance=variance)
    return sum_event(np.broadcast_to(np.log(variance) + (LOG_2PI + 1), x.shape)) / 2


def kl_isotropic(mean1: Array, variance1: Array, mean2: Array, variance2: Array) -> Array:
    r"""KL divergence between isotropic Gaussians, with one variance each; variances () or (B,); (B,) nats.

    $$D(\mathcal N(\mu_1, \sigma_1^2 I) \| \mathcal N(\mu_2, \sigma_2^2 I))
      = \frac d2 \Bigl(\frac{\sigma_1^2}{\sigma_2^2} - 1 - \log\frac{\sigma_1^2}{\sigma_2^2}\Bigr) + \frac{\|\mu_1 - \mu_2\|^2}{2\sigma_2^2}$$

    Source: E1 [PRML ex. 2.13].
    """
    (mean2,) = _in_precision("mean1", mean1, mean2=mean2)
    named = {"variance1": variance1, "variance2": variance2}
    variance1, variance2 = (per_example(name, _positive(name, value, mean1), mean1) for name, value in named.items())
    spread = event_size(mean1) * _excess(variance1 / variance2, (variance1 - variance2) / variance2)
    return cast("variance2", spread / 2 + sum_event((mean1 - mean2) ** 2) / (2 * variance2), mean1)


def kl_diagonal(mean1: Array, variance1: Array, mean2: Array, variance2: Array) -> Array:
    r"""KL divergence between Gaussians with independent coordinates; (B,) nats. The other arguments broadcast to `mean1` (B, ...).

    $$D = \tfrac12 \sum_i \Bigl(\frac{\sigma_{1i}^2}{\sigma_{2i}^2} - 1 - \log\frac{\sigma_{1i}^2}{\sigma_{2i}^2}
      + \frac{(\mu_{1i} - \mu_{2i})^2}{\sigma_{2i}^2}\Bigr)$$

    Source: E1 [PRML ex. 2.13].
    """
    mean2, variance1, variance2 = _in_precision("mean1", mean1, mean2=mean2, variance1=variance1, variance2=variance2)
    spread = _excess(variance1 / variance2, (variance1 - variance2) / variance2)
    return sum_event(spread + (mean1 - mean2) ** 2 / variance2) / 2


def kl_full(mean1: Array, covariance1: Array, mean2: Array, covariance2: Array) -> Array:
    r"""KL divergence between Gaussians with full covariance; means (d,), covariances (d, d); one number in nats.

    $$D = \tfrac12 \sum_i (\delta_i - \log(1 + \delta_i)) + \tfrac12 (\mu_1 - \mu_2)^T \Sigma_2^{-1} (\mu_1 - \mu_2)$$

    Here $\delta_i$ are the eigenvalues of $L^{-1} (\Sigma_1 - \Sigma_2) L^{-T}$, and $\Sigma_2 = L L^T$. The sum over $i$
    equals the usual trace, dimension and log-determinant terms, without their cancellation. Source: E1 [PRML ex. 2.13].
    """
    check_shape("mean1", mean1, "d")
    (mean2,), (covariance1, _) = _in_precision("mean1", mean1, mean2=mean2), _cholesky("covariance1", covariance1, mean1)
    covariance2, root = _cholesky("covariance2", covariance2, mean1)
    whitened = (np.linalg.solve(root, np.linalg.solve(root, matrix).T) for matrix in (covariance1, covariance1 - covariance2))
    ratio, delta = map(np.linalg.eigvalsh, whitened)
    return (_excess(ratio, delta).sum() + (np.linalg.solve(root, mean1 - mean2) ** 2).sum()) / 2


def product(mean1: Array, variance1: Array, mean2: Array, variance2: Array) -> tuple[Array, Array]:
    r"""Product of two Gaussian densities in the same variable, normalized: mean and variance. One variance may be 0.

    $$\mathcal N(x; \mu_1, v_1)\, \mathcal N(x; \mu_2, v_2) \propto \mathcal N\Bigl(x; \frac{v_2 \mu_1 + v_1 \mu_2}{v_1 + v_2}, \frac{v_1 v_2}{v_1 + v_2}\Bigr)$$

    Raises unless the variances are at least 0 and not both 0. Source: R1 [PRML eq. 2.116].
    """
    mean1, variance1, mean2, variance2 = together(mean1=mean1, variance1=variance1, mean2=mean2, variance2=variance2)
    check_number("variance1", variance1, 0)
    check_number("variance2", variance2, 0)
    total = variance1 + variance2
    check_number("variance1 + variance2", total, 0, open_low=True)
    share1, share2 = variance2 / total, variance1 / total
    return share1 * mean1 + share2 * mean2, share2 * variance2


def quotient(mean1: Array, variance1: Array, mean2: Array, variance2: Array) -> tuple[Array, Array]:
    r"""Quotient of two Gaussian densities, normalized: mean and variance. The second density must be the wider one.

    $$\frac{\mathcal N(x; \mu_1, v_1)}{\mathcal N(x; \mu_2, v_2)} \propto \mathcal N\Bigl(x; \frac{v_2 \mu_1 - v_1 \mu_2}{v_2 - v_1}, \frac{v_1 v_2}{v_2 - v_1}\Bigr)$$

    Raises unless $v_2 > v_1$. It is the inverse of `product`. Source: R1 [PRML eq. 2.116].
    """
    mean1, variance1, mean2, variance2 = together(mean1=mean1, variance1=variance1, mean2=mean2, variance2=variance2)
    check_number("variance1", variance1, 0)
    check_number("variance2 - variance1", variance2 - variance1, 0, open_low=True)
    share = variance1 / (variance2 - variance1)
    return mean1 + share * (mean1 - mean2), share * variance2


def discretized_log_likelihood(x: Array, mean: Array, std: Array, levels: int = 256) -> Array:
    r"""Discretized Gaussian log-likelihood of pixels on the levels -1, ..., 1; x (B, ...); (B,) nats.

    $$\log \prod_i \Bigl[\Phi\Bigl(\frac{x_i + h - \mu_i}{\sigma}\Bigr) - \Phi\Bigl(\frac{x_i - h - \mu_i}{\sigma}\Bigr)\Bigr], \quad h = \frac1{levels - 1}$$

    The first and the last bin extend to infinity, so that the probabilities of all levels sum to 1. Source: E7 [DDPM eq. 13].
    """
    (mean,), std = _in_precision("x", x, mean=mean), _positive("std", std, x)
    check_broadcast("x", x, std=std)
    check_real(x=x, mean=mean, std=std)
    check_number("x", x, -1, 1)
    half = 1 / (check_count("levels", levels, 2, 2**16) - 1)
    offset = x.astype(np.float64) - mean
    upper = np.where(x > 1 - half, np.inf, (offset + half) / std)
    lower = np.where(x < -1 + half, -np.inf, (offset - half) / std)
    return sum_event(_log_bin(lower, upper, half / std)).astype(x.dtype)


def _log_bin(lower: Array, upper: Array, half: Array) -> Array:
    r"""Log-probability $\log(\Phi(upper) - \Phi(lower))$ of a bin of a standard normal; `half` is half its width, if it is finite.

    A bin to the right of the mean is mirrored to its left, where the normal CDF keeps its relative precision. In a narrow bin
    the CDFs cancel: it is integrated by Gauss's rule with 2 x 3 nodes, and $\varphi(m + s) = \varphi(m) e^{-(m + s/2) s}$ around its middle.
    """
    middle = (upper + lower) / 2
    narrow, right = half < 0.25 / np.maximum(abs(middle), 1), middle > 0
    upper, lower = np.where(right, -lower, upper), np.where(narrow, -np.inf, np.where(right, -upper, lower))
    log_upper = log_ndtr(upper)
    gap = log_ndtr(lower) - np.maximum(log_upper, float(np.finfo(np.float64).min))
    wide = log_upper + np.where(gap < -0.7, np.log1p(-np.exp(gap)), np.log(-np.expm1(gap)))
    m, h = np.where(narrow, middle, 0), np.where(narrow, half, 0.1)
    mass = h * sum(weight * np.exp(-(m + s / 2) * s) for node, weight in GAUSS for s in (h * node, -h * node))
    return np.where(narrow, np.log(mass) - (m**2 + LOG_2PI) / 2, wide)


def _excess(ratio: Array, delta: Array) -> Array:
    r"""Excess $r - 1 - \log r = e^d - 1 - d$ with $d = \log r$, from $r$ and $\delta = r - 1$.

    The excess is never negative, and it is 0 only at $r = 1$. The number $d$ is computed from whichever of $r$ and
    $\delta$ is more accurate. For small $d$ the difference $e^d - 1 - d$ loses digits. For $|d| < 0.1$ the Taylor
    series $d^2/2! + d^3/3! + \ldots$ is therefore summed up to $d^{12}/12!$.
    """
    near = abs(delta) < 0.5
    d = np.where(near, np.log1p(np.where(near, delta, 0)), np.log(ratio))
    series = np.zeros_like(d)
    for k in range(12, 1, -1):
        series = (series + 1) * d / k
    return np.where(abs(d) < 0.1, series * d, delta - d)[()]


def _in_precision(like: str, x: Array, **named: Any) -> list[Array]:
    """The arguments in x's precision. Raises unless x is a finite array, all others broadcast to it, and all but means are positive."""
    check_arrays(**{like: x})
    high = LARGEST[code(x)]
    for name, value in named.items():
        named[name] = check_number(name, value, -high, high) if name.startswith("mean") else _positive(name, value, x)
    check_broadcast(like, x, **named)
    return [cast(name, value, x) for name, value in named.items()]


def _positive(name: str, value: Any, x: Array) -> Any:
    """Variances in their own precision. Raises unless they are positive, and so large that a quotient in x's is finite."""
    values, smallest = check_number(name, value, 0, open_low=True), SMALLEST[code(x.real)]
    if not holds(as_array(values).real >= smallest):
        raise ValueError(f"{name} = {value!r}; allowed: {smallest:g} or more in {x.dtype}, so that quotients are finite")
    return values


def _cholesky(name: str, covariance: Array, x: Array) -> tuple[Array, Array]:
    """A covariance in x's precision, and its root. Raises unless it is symmetric and positive definite."""
    matrix = cast(name, check_number(name, covariance), x)
    check_shape(name, matrix, *x.shape[-1:] * 2)
    symmetric = holds(abs(matrix - matrix.T) <= 1e-6 * abs(matrix).max())  # of one triangle, NumPy does not see it
    try:
        root = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:  # which a device does not raise
        symmetric, root = False, matrix
    if not symmetric or not holds(np.diag(root) >= SMALLEST[code(x.real)] ** 0.5):
        raise ValueError(f"{name} = {covariance!r}; allowed: symmetric positive definite")
    return matrix, root
