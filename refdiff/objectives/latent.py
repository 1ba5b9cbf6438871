"""Latent-variable models: marginal likelihood, importance weighting, and the ELBO of a linear VAE in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Array, cast
from ..checks import check_arrays, check_number, check_real, check_scalar, check_shape
from ..process import gaussian


def log_mean_exp(values: Array) -> Array:
    r"""Log-mean-exp $\log \frac1K \sum_k e^{v_k}$ over the first axis, without overflow; (K, B) -> (B,).

    It is $-\infty$ where all values are. Source: E2 [IWAE eq. 8].
    """
    _check_samples(values=values)
    peak = np.maximum(values.max(axis=0), float(np.finfo(values.dtype).min))
    with np.errstate(divide="ignore"):
        return peak + np.log(np.exp(values - peak).mean(axis=0))


def marginal_likelihood(log_likelihood: Array) -> Array:
    r"""Monte Carlo estimate of $\log p(x)$ from $\log p(x | z_k)$, with $z_k$ from the prior; (K, B) -> (B,) nats.

    $$p(x) = E_{p(z)} p(x | z) \approx \frac1K \sum_k p(x | z_k)$$

    Source: E2 [VAE sec. 2.1].
    """
    _check_samples(log_likelihood=log_likelihood)
    return log_mean_exp(log_likelihood)


def importance_weighted(log_joint: Array, log_q: Array) -> Array:
    r"""Importance-weighted estimate of $\log p(x)$, with $z_k$ sampled from $q(z | x)$; (K, B) -> (B,) nats.

    $$\log p(x) \ge E \log \frac1K \sum_k \frac{p(x, z_k)}{q(z_k | x)}$$

    `log_joint` is $\log p(x, z_k)$, and `log_q` is $\log q(z_k | x)$. $K = 1$ gives the ELBO integrand. If $q$ is the
    exact posterior, every single weight $p(x, z_k) / q(z_k | x)$ is $p(x)$. Source: E2 [IWAE eq. 8].
    """
    _check_samples(log_joint=log_joint, log_q=log_q)
    return log_mean_exp(log_joint - log_q)


@dataclass(frozen=True, eq=False)
class LinearGaussian:
    r"""Linear-Gaussian latent-variable model: $z \sim \mathcal N(0, I)$ and $x | z \sim \mathcal N(W z + b, noise\, I)$.

    $z$ has $k$ dimensions and $x$ has $d$. `weights` is $W$ (d, k), `bias` is $b$ (d,), and `noise` is a variance.
    Source: E3, E4 [PPCA], [PRML eq. 12.33].
    """

    weights: Array
    bias: Array
    noise: float

    def __post_init__(self) -> None:
        check_arrays(weights=self.weights)
        check_arrays(bias=self.bias)
        check_shape("weights", self.weights, "d", "k")
        check_shape("bias", self.bias, len(self.weights))
        object.__setattr__(self, "noise", cast("noise", check_scalar("noise", self.noise, 0, open_low=True), self.weights))

    def log_likelihood(self, x: Array, z: Array) -> Array:
        r"""Log-likelihood $\log p(x | z)$; x (B, d), z (B, k) -> (B,) nats. Source: E3, E4 [PRML eq. 12.32]."""
        self._check(x=x, z=z)
        return gaussian.log_density(x, z @ self.weights.T + self.bias, self.noise)

    def log_marginal(self, x: Array) -> Array:
        r"""Marginal log-likelihood $\log p(x) = \log \mathcal N(x; b, W W^T + noise\, I)$; (B, d) -> (B,) nats.

        Source: E3 [PRML eq. 12.35, 12.36].
        """
        self._check(x=x)
        covariance = self.weights @ self.weights.T + self.noise * self._identity(self.weights)
        return gaussian.log_density_full(x, self.bias, covariance)

    def posterior(self, x: Array) -> tuple[Array, Array]:
        r"""Posterior $p(z | x)$: means (B, k) and the common covariance (k, k).

        $$p(z | x) = \mathcal N(C W^T (x - b) / noise, C), \qquad C = (I + W^T W / noise)^{-1}$$

        Source: E3 [PRML eq. 12.42].
        """
        self._check(x=x)
        covariance = np.linalg.inv(self._identity(self.weights.T) + self.weights.T @ self.weights / self.noise)
        return (x - self.bias) @ self.weights @ covariance / self.noise, covariance

    def elbo(self, x: Array, mean: Array, covariance: Array) -> Array:
        r"""ELBO for $q(z | x) = \mathcal N(\mu, C)$; `mean` $\mu$ (B, k), `covariance` $C$ (k, k); (B,) nats.

        $$\mathrm{ELBO} = E_q \log p(x | z) - D(q(z | x) \| p(z)) = \log p(x) - D(q(z | x) \| p(z | x))$$

        Here $C$ is the covariance of $q$, not of the exact posterior. The variance of $z$ under $q$ lowers the
        first term by $E \|W (z - \mu)\|^2 / (2\, noise) = \mathrm{tr}(W C W^T) / (2\, noise)$.
        Source: E3, E4 [VAE eq. 3].
        """
        self._check(x=x, mean=mean, covariance=covariance)
        spread = np.trace(self.weights @ covariance @ self.weights.T) / (2 * self.noise)
        prior = np.zeros_like(mean[0]), self._identity(covariance)
        divergence = np.stack([gaussian.kl_full(m, covariance, *prior) for m in mean])
        return self.log_likelihood(x, mean) - spread - divergence

    def gap(self, x: Array, mean: Array, covariance: Array) -> Array:
        r"""Gap of the ELBO, $\log p(x) - \mathrm{ELBO} = D(q(z | x) \| p(z | x))$; (B,) nats. Source: E3 [VAE eq. 1]."""
        self._check(x=x, mean=mean, covariance=covariance)
        means, exact = self.posterior(x)
        return np.stack([gaussian.kl_full(m, covariance, e, exact) for m, e in zip(mean, means, strict=True)])

    def _identity(self, matrix: Array) -> Array:
        return np.asarray(np.eye(len(matrix), dtype=matrix.dtype), like=matrix)

    def _check(self, **named: Array) -> None:
        """Raise unless x is (B, d), z and mean (B, k), and the covariance (k, k)."""
        d, k = self.weights.shape
        for name, value in named.items():
            check_arrays(**{name: value})
            check_shape(name, value, *{"x": ("B", d), "covariance": (k, k)}.get(name, ("B", k)))
        first, *others = (name for name in named if name != "covariance")
        for name in others:
            if len(named[name]) != len(named[first]):
                raise ValueError(f"{name} has shape {named[name].shape}; allowed: {len(named[first])} examples, as many as {first} has")


def _check_samples(**named: Array) -> None:
    """Raise unless the arguments are arrays (K, B) of one shape with K >= 1, whose largest numbers are finite; -inf is log 0."""
    for name, values in named.items():
        check_shape(name, values, "K", ...)
        check_real(**{name: values})
        if not len(values) or values.shape != next(iter(named.values())).shape:
            raise ValueError(f"{name} has shape {values.shape}; allowed: (K, B) with K >= 1, the same for {' and '.join(named)}")
        check_number(name, np.maximum(values.max(axis=0), -1e15), high=1e15)
    if "log_q" in named:
        check_number("log_q", named["log_q"])
