"""Latent-variable models: marginal likelihood, importance weighting, and the ELBO of a linear VAE in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Array, check_number
from ..process import gaussian


def log_mean_exp(values: Array) -> Array:
    r"""Log-mean-exp $\log \frac1K \sum_k e^{v_k}$ over the first axis, without overflow; (K, B) -> (B,).

    It is $-\infty$ where all values are. Source: E2 [IWAE eq. 8].
    """
    peak = np.maximum(values.max(axis=0), float(np.finfo(values.dtype).min))
    with np.errstate(divide="ignore"):
        return peak + np.log(np.exp(values - peak).mean(axis=0))


def marginal_likelihood(log_likelihood: Array) -> Array:
    r"""Monte Carlo estimate of $\log p(x)$ from $\log p(x | z_k)$, with $z_k$ from the prior; (K, B) -> (B,) nats.

    $$p(x) = E_{p(z)} p(x | z) \approx \frac1K \sum_k p(x | z_k)$$

    Source: E2 [VAE sec. 2.1].
    """
    return log_mean_exp(log_likelihood)


def importance_weighted(log_joint: Array, log_q: Array) -> Array:
    r"""Importance-weighted estimate of $\log p(x)$, with $z_k$ sampled from $q(z | x)$; (K, B) -> (B,) nats.

    $$\log p(x) \ge E \log \frac1K \sum_k \frac{p(x, z_k)}{q(z_k | x)}$$

    `log_joint` is $\log p(x, z_k)$, and `log_q` is $\log q(z_k | x)$. $K = 1$ gives the ELBO integrand. If $q$ is the
    exact posterior, every single weight $p(x, z_k) / q(z_k | x)$ is $p(x)$. Source: E2 [IWAE eq. 8].
    """
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
        check_number("noise", self.noise, 0, open_low=True)

    def log_likelihood(self, x: Array, z: Array) -> Array:
        r"""Log-likelihood $\log p(x | z)$; x (B, d), z (B, k) -> (B,) nats. Source: E3, E4 [PRML eq. 12.32]."""
        return gaussian.log_density(x, z @ self.weights.T + self.bias, np.asarray(self.noise)[()])

    def log_marginal(self, x: Array) -> Array:
        r"""Marginal log-likelihood $\log p(x) = \log \mathcal N(x; b, W W^T + noise\, I)$; (B, d) -> (B,) nats.

        Source: E3 [PRML eq. 12.35, 12.36].
        """
        covariance = self.weights @ self.weights.T + self.noise * np.asarray(np.eye(len(self.bias)), like=self.weights)
        return gaussian.log_density_full(x, self.bias, covariance)

    def posterior(self, x: Array) -> tuple[Array, Array]:
        r"""Posterior $p(z | x)$: means (B, k) and the common covariance (k, k).

        $$p(z | x) = \mathcal N(C W^T (x - b) / noise, C), \qquad C = (I + W^T W / noise)^{-1}$$

        Source: E3 [PRML eq. 12.42].
        """
        covariance = np.linalg.inv(
            np.asarray(np.eye(self.weights.shape[1]), like=self.weights) + self.weights.T @ self.weights / self.noise
        )
        return (x - self.bias) @ self.weights @ covariance / self.noise, covariance

    def elbo(self, x: Array, mean: Array, covariance: Array) -> Array:
        r"""ELBO for $q(z | x) = \mathcal N(\mu, C)$; `mean` $\mu$ (B, k), `covariance` $C$ (k, k); (B,) nats.

        $$\mathrm{ELBO} = E_q \log p(x | z) - D(q(z | x) \| p(z)) = \log p(x) - D(q(z | x) \| p(z | x))$$

        Here $C$ is the covariance of $q$, not of the exact posterior. The variance of $z$ under $q$ lowers the
        first term by $E \|W (z - \mu)\|^2 / (2\, noise) = \mathrm{tr}(W C W^T) / (2\, noise)$.
        Source: E3, E4 [VAE eq. 3].
        """
        spread = np.trace(self.weights @ covariance @ self.weights.T) / (2 * self.noise)
        prior = np.zeros(len(covariance), like=covariance), np.asarray(np.eye(len(covariance)), like=covariance)
        divergence = np.stack([gaussian.kl_full(m, covariance, *prior) for m in mean])
        return self.log_likelihood(x, mean) - spread - divergence

    def gap(self, x: Array, mean: Array, covariance: Array) -> Array:
        r"""Gap of the ELBO, $\log p(x) - \mathrm{ELBO} = D(q(z | x) \| p(z | x))$; (B,) nats. Source: E3 [VAE eq. 1]."""
        means, exact = self.posterior(x)
        return np.stack([gaussian.kl_full(m, covariance, e, exact) for m, e in zip(mean, means, strict=True)])
