"""Wrong and unusual implementations of the operations of the areas elbo and gaussian, each with its mistake in one sentence."""

import math
from itertools import pairwise

import numpy as np
from scipy import linalg, stats
from scipy.special import erf, erfc, log_ndtr, ndtr

LOG_2PI = math.log(2 * math.pi)


def cumulative(betas):
    return np.append(1.0, np.cumprod(1 - np.asarray(betas, dtype=float)))


def extract(table, t, x):
    """The entries of a table at the times t, shaped to broadcast with x."""
    values = np.asarray(table)[np.asarray(t)]
    return values.reshape(values.shape + (1,) * (x.ndim - values.ndim)) if values.ndim else values


def sum_except_batch(x):
    return x.reshape(x.shape[0], -1).sum(-1)


def normal_logpdf(x, mean, var):
    return sum_except_batch(-0.5 * (LOG_2PI + np.log(var) + (x - mean) ** 2 / var + 0 * x))


def normal_kl(m1, v1, m2, v2):
    return sum_except_batch(0.5 * (np.log(v2 / v1) + (v1 + (m1 - m2) ** 2) / v2 - 1 + 0 * m1))


def positive(*values):
    for value in values:
        if not (np.asarray(value) > 0).all():
            raise ValueError("a variance must be positive")


def same_shape(a, b):
    if np.shape(a) != np.shape(b):
        raise ValueError(f"shapes {np.shape(a)} and {np.shape(b)} differ")


def finite(*values):
    for value in values:
        if not np.isfinite(value).all():
            raise ValueError("not finite")


# entropies and densities


class LogDetEntropy:
    """The entropy as half the log-determinant of 2 pi e times the covariance, the logs added with math.fsum."""

    truth = ""
    kind = "right"

    def entropy(self, x, variance):
        positive(variance)
        rows = np.broadcast_to(variance, x.shape).reshape(len(x), -1)
        return np.array([math.fsum(math.log(2 * math.pi * math.e * v) for v in row) / 2 for row in rows])


class EntropyWithoutE:
    truth = "the entropy is log(2 pi variance) / 2 in each coordinate, without the 1/2 that the e in log(2 pi e variance) stands for"
    kind = "term"

    def entropy(self, x, variance):
        positive(variance)
        return sum_except_batch(np.log(np.sqrt(2 * np.pi * variance)) + np.zeros_like(x))


class EntropyVarianceAsScale:
    truth = "the variance is taken for a standard deviation: its whole logarithm enters, not half of it"
    kind = "power"

    def entropy(self, x, variance):
        scale = np.broadcast_to(variance, np.shape(x))
        positive(scale)
        half_log_2pi_e = 0.5 + 0.5 * np.log(2 * np.pi)
        return np.einsum("bi->b", (half_log_2pi_e + np.log(scale)).reshape(len(x), -1))


class EntropyOverGivenVariances:
    """The constant has the right number of coordinates, the logarithms are only as many as the variance has."""

    truth = "the logarithms are summed over the variance as given, so one that broadcasts counts once and not for each coordinate"
    kind = "axis"

    def entropy(self, x, variance):
        positive(variance)
        dims = x[0].size
        logs = np.log(np.atleast_1d(variance))
        total = logs.reshape(len(x), -1).sum(1) if logs.shape[0] == len(x) else logs.sum()
        return 0.5 * (dims * (1 + LOG_2PI) + total) * np.ones(len(x))


class EigenDensities:
    """Full-covariance densities and divergences in the eigenbasis of the covariance."""

    truth = ""
    kind = "right"

    def decompose(self, covariance):
        if not np.allclose(covariance, covariance.T):
            raise ValueError("not symmetric")
        values, vectors = np.linalg.eigh(covariance)
        positive(values)
        return values, vectors

    def log_density_full(self, x, mean, covariance):
        values, vectors = self.decompose(covariance)
        z = (x - mean) @ vectors
        return -(z**2 / values + np.log(2 * np.pi * values)).sum(axis=1) / 2

    def kl_full(self, mean1, covariance1, mean2, covariance2):
        self.decompose(covariance1)
        values, vectors = self.decompose(covariance2)
        white = vectors / np.sqrt(values)
        inner = white.T @ covariance1 @ white
        shift = white.T @ (mean1 - mean2)
        spectrum = np.linalg.eigvalsh(inner)
        excess = spectrum - 1
        return (np.sum(excess - np.log1p(excess)) + shift @ shift) / 2


class DensityRootDeterminant:
    """Cholesky: the determinant of the covariance is the square of the product of the diagonal."""

    truth = "the log-determinant is the sum of the logs of the Cholesky factor's diagonal, half of what it is"
    kind = "factor"

    def log_density_full(self, x, mean, covariance):
        lower = np.linalg.cholesky(covariance)
        z = linalg.solve_triangular(lower, (x - mean).T, lower=True)
        log_det = np.log(np.diag(lower)).sum()
        return -0.5 * (np.square(z).sum(axis=0) + log_det + x.shape[1] * LOG_2PI)


class DensityUpperSolve:
    """solve_triangular reads the upper triangle unless it is asked for the lower."""

    truth = "the lower Cholesky factor is solved as an upper triangular one, so only its diagonal is used and the correlations are lost"
    kind = "part"

    def log_density_full(self, x, mean, covariance):
        factor = np.linalg.cholesky(covariance)
        z = linalg.solve_triangular(factor, (x - mean).T).T
        return -0.5 * (z * z).sum(-1) - np.log(np.diagonal(factor)).sum() - 0.5 * x.shape[-1] * LOG_2PI


class DensityBatchInConstant:
    truth = "the constant counts the examples (len(x)) in place of the coordinates: B/2 log(2 pi) for d/2 log(2 pi)"
    kind = "axis"

    def log_density_full(self, x, mean, covariance):
        np.linalg.cholesky(covariance)
        centred = x - mean
        mahalanobis = np.einsum("bi,ij,bj->b", centred, np.linalg.inv(covariance), centred)
        return -(len(x) * LOG_2PI + np.linalg.slogdet(covariance)[1] + mahalanobis) / 2


class DensityFirstMean:
    truth = "where each example has a mean of its own, the first one serves all examples"
    kind = "part"

    def log_density_full(self, x, mean, covariance):
        np.linalg.cholesky(covariance)
        return np.atleast_1d(stats.multivariate_normal(np.atleast_2d(mean)[0], covariance).logpdf(x))


# divergences


def excess_less_log(r):
    """r - log(1 + r); near 0 the integral of u / (1 + u) by Gauss-Legendre, which loses no digits."""
    nodes, weights = np.polynomial.legendre.leggauss(12)
    u = (nodes + 1) / 2
    r = np.asarray(r, dtype=float)
    small = np.where(np.abs(r) < 0.2, r, 0.0)
    integral = small**2 * ((u / (1 + small[..., None] * u)) @ weights) / 2
    return np.where(np.abs(r) < 0.2, integral, r - np.log1p(r))


class KLThroughIntegral:
    """Both divergences by r - log(1 + r), r the relative difference of the variances."""

    truth = ""
    kind = "right"

    def kl_diagonal(self, mean1, variance1, mean2, variance2):
        same_shape(mean1, mean2)
        finite(mean1, mean2, variance1, variance2)
        positive(variance1, variance2)
        spread = np.broadcast_to(excess_less_log((variance1 - variance2) / variance2), mean1.shape)
        terms = spread + np.square(mean1 - mean2) / variance2
        return np.array([math.fsum(row) for row in terms.reshape(len(mean1), -1)]) / 2

    def kl_isotropic(self, mean1, variance1, mean2, variance2):
        if np.ndim(variance1) > 1 or np.ndim(variance2) > 1:
            raise ValueError("an isotropic variance is one number, or one for each example")
        column = (-1,) + (1,) * (mean1.ndim - 1)
        return self.kl_diagonal(mean1, np.reshape(variance1, column), mean2, np.reshape(variance2, column))


class KLCancels:
    """Cross-entropy less entropy."""

    truth = "the formula is right, but where the variances are almost equal the ratio less 1 less its logarithm keeps no digits"
    kind = "dtype"

    def kl_isotropic(self, mean1, variance1, mean2, variance2):
        finite(mean1, mean2, variance1, variance2)
        if np.ndim(variance1) > 1 or mean1.shape != mean2.shape:
            raise ValueError("shapes")
        positive(variance1, variance2)
        dims = mean1[0].size
        gap = np.linalg.norm((mean1 - mean2).reshape(len(mean1), -1), axis=1) ** 2
        entropy = 0.5 * dims * np.log(2 * np.pi * np.e * np.asarray(variance1))
        cross = 0.5 * (dims * np.log(2 * np.pi * np.asarray(variance2)) + (dims * np.asarray(variance1) + gap) / variance2)
        return cross - entropy


class KLReversed:
    truth = "the divergence is that of the second density from the first, in all three operations"
    kind = "swap"

    def kl(self, p, q):
        (m1, v1), (m2, v2) = p, q
        return 0.5 * (v2 / v1 + (m2 - m1) ** 2 / v1 - 1 + np.log(v1) - np.log(v2))

    def kl_isotropic(self, mean1, variance1, mean2, variance2):
        column = (-1,) + (1,) * (mean1.ndim - 1)
        return self.kl_diagonal(mean1, np.reshape(variance1, column), mean2, np.reshape(variance2, column))

    def kl_diagonal(self, mean1, variance1, mean2, variance2):
        positive(variance1, variance2)
        return sum_except_batch(self.kl((mean1, variance1), (mean2, variance2)))

    def kl_full(self, mean1, covariance1, mean2, covariance2):
        precision = np.linalg.inv(covariance1)
        d = mean1 - mean2
        logs = np.linalg.slogdet(covariance1)[1] - np.linalg.slogdet(covariance2)[1]
        return 0.5 * (np.trace(precision @ covariance2) + d @ precision @ d - len(d) + logs)


class KLOneOnce:
    """The reported form: ... reduce_sum(mu2 + sigma2 - 2 logsigma, 1) - T / 2, the 1 outside of the sum (ericjang/draw#2)."""

    truth = "the 1 of each coordinate is taken off once, after the sum"
    kind = "term"

    def kl_diagonal(self, mean1, variance1, mean2, variance2):
        same_shape(mean1, mean2)
        finite(variance1, variance2)
        positive(variance1, variance2)
        ratio = np.broadcast_to(variance1 / variance2, mean1.shape)
        return 0.5 * (sum_except_batch(ratio - np.log(ratio) + (mean1 - mean2) ** 2 / variance2) - 1)


class KLLogVarianceAsLogScale:
    """The reported form: -logvar + (exp(logvar)^2 + mu^2) / 2 - 1/2 (KarenUllrich/Tutorial_BayesianCompressionForDL#1)."""

    truth = "the log-variance is used as a log standard deviation: its difference is not halved, and its exponential is squared"
    kind = "power"

    def kl_diagonal(self, mean1, variance1, mean2, variance2):
        same_shape(mean1, mean2)
        positive(variance1, variance2)
        ls1, ls2 = np.log(variance1), np.log(variance2)
        return sum_except_batch(ls2 - ls1 + (np.exp(ls1) ** 2 + (mean1 - mean2) ** 2) / (2 * np.exp(ls2) ** 2) - 0.5)


class KLSumOverBatch:
    """A sum without its axis (reported in EDAPINENUT/GNTPP#4 and GlassyWing/nvae#3)."""

    truth = "the sum runs over the examples too, and all of them get the total"
    kind = "axis"

    def kl_isotropic(self, mean1, variance1, mean2, variance2):
        same_shape(mean1, mean2)
        wide = (-1,) + (1,) * (mean1.ndim - 1)
        v1, v2 = np.reshape(variance1, wide), np.reshape(variance2, wide)
        positive(v1, v2)
        return np.full(len(mean1), np.sum(normal_kl(mean1, v1, mean2, v2)))

    def kl_diagonal(self, mean1, variance1, mean2, variance2):
        same_shape(mean1, mean2)
        finite(variance1, variance2)
        positive(variance1, variance2)
        total = -0.5 * np.sum(1 + np.log(variance1) - np.log(variance2) - ((mean1 - mean2) ** 2 + variance1) / variance2)
        return total * np.ones(mean1.shape[0])


class KLFlooredVariance:
    truth = "variances are floored at 1e-5 before anything else"
    kind = "constant"
    eps = 1e-5

    def kl_isotropic(self, mean1, variance1, mean2, variance2):
        v1, v2 = np.maximum(variance1, self.eps), np.maximum(variance2, self.eps)
        shape = (-1, *[1] * (mean1.ndim - 1))
        return normal_kl(mean1, v1.reshape(shape), mean2, v2.reshape(shape))


class KLVarianceAlongLastAxis:
    truth = "a variance for each example (B,) broadcasts along the last axis"
    kind = "axis"

    def kl_isotropic(self, mean1, variance1, mean2, variance2):
        same_shape(mean1, mean2)
        positive(variance1, variance2)
        cost = np.log(variance2) - np.log(variance1) + (variance1 + (mean1 - mean2) ** 2) / variance2 - 1
        return 0.5 * sum_except_batch(cost)


class KLDimensionIsLastAxis:
    truth = "the number of coordinates is the last axis alone (the channels of an image), so the variances' terms count too rarely"
    kind = "axis"

    def kl_isotropic(self, mean1, variance1, mean2, variance2):
        finite(variance1, variance2)
        same_shape(mean1, mean2)
        positive(variance1, variance2)
        d = mean1.shape[-1]
        sq = ((mean1 - mean2) ** 2).sum(axis=tuple(range(1, mean1.ndim)))
        return d * (np.log(np.sqrt(variance2 / np.asarray(variance1))) + variance1 / (2 * variance2) - 0.5) + sq / (2 * variance2)


class KLTraceOfHadamard:
    truth = "the trace is that of the elementwise product of the inverse covariance and the covariance, not of their matrix product"
    kind = "swap"

    def kl_full(self, mean1, covariance1, mean2, covariance2):
        inverse = linalg.inv(covariance2)
        d = mean2 - mean1
        logs = np.linalg.slogdet(covariance2)[1] - np.linalg.slogdet(covariance1)[1]
        return 0.5 * (np.trace(inverse * covariance1) - d.size + d @ inverse @ d + logs)


class KLDeterminantsSwapped:
    truth = "the log-ratio of the determinants has the wrong sign"
    kind = "sign"

    def kl_full(self, mean1, covariance1, mean2, covariance2):
        l1, l2 = np.linalg.cholesky(covariance1), np.linalg.cholesky(covariance2)
        m = linalg.solve_triangular(l2, l1, lower=True)
        y = linalg.solve_triangular(l2, mean1 - mean2, lower=True)
        return 0.5 * ((m**2).sum() + (y**2).sum() - len(y)) + np.log(np.diag(l1)).sum() - np.log(np.diag(l2)).sum()


class KLInBits:
    truth = "logarithms are of base 2, so that the log-ratio of the variances is in bits and the rest in nats"
    kind = "units"

    def kl_full(self, mean1, covariance1, mean2, covariance2):
        np.linalg.cholesky(covariance1)
        np.linalg.cholesky(covariance2)
        delta = mean1 - mean2
        quadratic = delta @ np.linalg.solve(covariance2, delta) + np.trace(np.linalg.solve(covariance2, covariance1)) - len(delta)
        return 0.5 * (quadratic + np.log2(np.linalg.det(covariance2) / np.linalg.det(covariance1)))

    def kl_diagonal(self, mean1, variance1, mean2, variance2):
        same_shape(mean1, mean2)
        finite(variance1, variance2)
        positive(variance1, variance2)
        r = variance1 / variance2
        return 0.5 * sum_except_batch(r - 1 - np.log2(r) + np.square(mean1 - mean2) / variance2)


# products and quotients


class GainUpdate:
    """The product as an update of the first density by a gain, and the quotient as one by a negative gain."""

    truth = ""
    kind = "right"

    def product(self, mean1, variance1, mean2, variance2):
        if np.any(np.asarray(variance1) < 0) or np.any(np.asarray(variance2) < 0):
            raise ValueError("negative variance")
        if np.any(np.add(variance1, variance2) == 0):
            raise ValueError("both are points")
        gain = variance1 / (variance1 + variance2)
        return mean1 + gain * (mean2 - mean1), np.broadcast_to(gain * variance2, mean1.shape)

    def quotient(self, mean1, variance1, mean2, variance2):
        if np.any(np.asarray(variance2) <= variance1):
            raise ValueError("the quotient has no density")
        gain = variance1 / (variance2 - variance1)
        return mean1 + gain * (mean1 - mean2), np.broadcast_to(gain * variance2, mean1.shape)


class ProductOfVariables:
    truth = "the variance is that of the sum of two variables, variance1 + variance2; the mean is right"
    kind = "alternative"

    def product(self, mean1, variance1, mean2, variance2):
        if np.min(variance1) < 0 or np.min(variance2) < 0 or np.max(np.add(variance1, variance2)) == 0:
            raise ValueError("variances")
        w1 = variance2 / (variance1 + variance2)
        return w1 * mean1 + (1 - w1) * mean2, np.full(mean1.shape, variance1 + variance2)


class ProductOwnWeights:
    truth = "each mean is weighted by its own variance: the broader density pulls more"
    kind = "swap"

    def product(self, mean1, variance1, mean2, variance2):
        if np.any(np.less([np.min(variance1), np.min(variance2)], 0)) or not np.any(np.add(variance1, variance2)):
            raise ValueError("variances")
        total = np.add(variance1, variance2)
        return (variance1 * mean1 + variance2 * mean2) / total, np.ones_like(mean1) * variance1 * variance2 / total


class ProductByPrecisions:
    """Precisions add, which a variance of 0 does not survive."""

    truth = "precisions are added, and a variance of 0 gives infinity times something: NaN where the point itself is right"
    kind = "nan"

    def product(self, mean1, variance1, mean2, variance2):
        if np.any(np.asarray(variance1) < 0) or np.any(np.asarray(variance2) < 0):
            raise ValueError("negative variance")
        with np.errstate(all="ignore"):
            p1, p2 = np.divide(1.0, variance1), np.divide(1.0, variance2)
            var = 1 / (p1 + p2)
            return var * (p1 * mean1 + p2 * mean2), np.broadcast_to(var, mean1.shape)


class QuotientPlusMean:
    truth = "the mean of the quotient adds the second density's part where it is taken off"
    kind = "sign"

    def quotient(self, mean1, variance1, mean2, variance2):
        lam = 1 / np.asarray(variance1) - 1 / np.asarray(variance2)
        if np.any(lam <= 0):
            raise ValueError("variance2 <= variance1")
        return (mean1 / variance1 + mean2 / variance2) / lam, np.broadcast_to(1 / lam, mean1.shape)


class QuotientUnchecked:
    """Both operations are right wherever there is an answer."""

    truth = "no checks: where variance2 <= variance1 the quotient is returned with a negative or infinite variance, and so with products"
    kind = "check"

    def quotient(self, mean1, variance1, mean2, variance2):
        with np.errstate(all="ignore"):
            var = 1 / np.subtract(1 / np.asarray(variance1), 1 / np.asarray(variance2))
            return var * (mean1 / variance1 - mean2 / variance2), var + np.zeros_like(mean1)

    def product(self, mean1, variance1, mean2, variance2):
        with np.errstate(all="ignore"):
            s = np.add(variance1, variance2)
            return (mean1 * variance2 + mean2 * variance1) / s, variance1 * variance2 / s + np.zeros_like(mean1)


# pixels


class _Pixels:
    """Bins of pixels: the edges as a hook, the normal CDF as another."""

    def half(self, levels):
        return 1 / (levels - 1)

    def check(self, x, mean, std, levels):
        same_shape(x, mean)
        positive(std)
        finite(x, mean)
        if levels < 2 or np.abs(x).max() > 1:
            raise ValueError("levels or pixels")

    def log_cdf_difference(self, lo, hi):
        """log(cdf(hi) - cdf(lo)), mirrored to the left tail."""
        flip = lo + hi > 0
        a, b = np.where(flip, -hi, lo), np.where(flip, -lo, hi)
        with np.errstate(divide="ignore"):
            return np.log(ndtr(b) - ndtr(a))

    def bins(self, x, mean, std, levels):
        h = self.half(levels)
        lo, hi = (x - h - mean) / std, (x + h - mean) / std
        return np.where(x <= -1, log_ndtr(hi), np.where(x >= 1, log_ndtr(-lo), self.log_cdf_difference(lo, hi)))

    def discretized_log_likelihood(self, x, mean, std, levels=None):
        levels = 256 if levels is None else levels
        self.check(x, mean, std, levels)
        return sum_except_batch(self.bins(x, mean, std, levels))

    def discretized_decoder(self, x0, mean, variance):
        positive(variance)
        return self.discretized_log_likelihood(x0, mean, np.sqrt(variance), 256)


class PixelsInLogSpace(_Pixels):
    """The bin's mass as a difference of log-CDFs, by log1p of their ratio, which underflows nowhere."""

    truth = ""
    kind = "right"

    def log_cdf_difference(self, lo, hi):
        flip = lo + hi > 0
        a, b = np.where(flip, -hi, lo), np.where(flip, -lo, hi)
        near = (b > -20) & (a < 20)
        safe_a, safe_b = np.where(near, a, -1.0), np.where(near, b, 1.0)
        with np.errstate(divide="ignore"):
            body = np.log(np.where(near, ndtr(safe_b) - ndtr(safe_a), 1.0))
            tail = log_ndtr(b) + np.log(-np.expm1(log_ndtr(a) - log_ndtr(b)))
        return np.where(near, body, tail)


class PixelsTanhCdf(_Pixels):
    truth = "the normal CDF is the tanh approximation, and probabilities are floored at 1e-12"
    kind = "alternative"

    def bins(self, x, mean, std, levels):
        def cdf(z):
            return 0.5 * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (z + 0.044715 * np.power(z, 3))))

        centered = x - mean
        plus, minus = cdf((centered + self.half(levels)) / std), cdf((centered - self.half(levels)) / std)
        mass = np.where(x < -0.999, plus, np.where(x > 0.999, 1 - minus, plus - minus))
        return np.log(np.clip(mass, 1e-12, None))


class PixelsFloored(_Pixels):
    truth = "a bin's probability is floored at 1e-12, so that far pixels cost at most 27.6 nats; the CDF is exact"
    kind = "constant"

    def bins(self, x, mean, std, levels):
        return np.maximum(super().bins(x, mean, std, levels), math.log(1e-12))


class PixelsBinOfLevels(_Pixels):
    truth = "a bin is 2 / levels wide, not 2 / (levels - 1)"
    kind = "constant"

    def half(self, levels):
        return 1 / levels


class PixelsClosedEnds(_Pixels):
    truth = "the bins of -1 and 1 end half a step outside like the others, they do not reach to infinity"
    kind = "branch"

    def bins(self, x, mean, std, levels):
        edges = ((x - mean)[..., None] + np.array([-1, 1]) / (levels - 1)) / np.broadcast_to(std, x.shape)[..., None]
        return self.log_cdf_difference(edges[..., 0], edges[..., 1])


class PixelsEarlyEnds(_Pixels):
    truth = "pixels beyond 0.99 count as the ends, which at 256 levels takes in the last but one on both sides"
    kind = "branch"

    def bins(self, x, mean, std, levels):
        snapped = np.where(x > 0.99, np.inf, x)
        snapped = np.where(x < -0.99, -np.inf, snapped)
        h = self.half(levels)
        lower = np.where(np.isneginf(snapped), -np.inf, (x - h - mean) / std)
        upper = np.where(np.isposinf(snapped), np.inf, (x + h - mean) / std)
        out = np.where(np.isposinf(upper), log_ndtr(-lower), log_ndtr(upper))
        inner = np.isfinite(lower) & np.isfinite(upper)
        return np.where(inner, self.log_cdf_difference(np.where(inner, lower, 0), np.where(inner, upper, 1)), out)


class PixelsRightTail(_Pixels):
    truth = "right of the mean the mass is a difference of CDFs near 1, which loses its digits and becomes 0: minus infinity"
    kind = "nan"

    def bins(self, x, mean, std, levels):
        def cdf(value):
            return 0.5 * (1 + erf((value - mean) / (np.sqrt(2) * std)))

        h = self.half(levels)
        with np.errstate(divide="ignore"):
            first, last = np.log(cdf(x + h)), np.log(1 - cdf(x - h))
            return np.where(x == -1, first, np.where(x == 1, last, np.log(cdf(x + h) - cdf(x - h))))


class PixelsOf256(_Pixels):
    truth = "the number of levels is ignored: bins are those of 256"
    kind = "constant"

    def half(self, levels):
        return 1 / 255


class PixelsMean(_Pixels):
    truth = "the mean over the pixels is returned and not the sum"
    kind = "units"

    def discretized_log_likelihood(self, x, mean, std, levels=None):
        self.check(x, mean, std, levels or 256)
        return self.bins(x, mean, std, levels or 256).mean(axis=tuple(range(1, x.ndim)))


class PixelsVarianceForScale(_Pixels):
    """The scale is exp(log_variance) where exp(log_variance / 2) is meant."""

    truth = "the decoder hands its variance on as the standard deviation"
    kind = "power"

    def discretized_decoder(self, x0, mean, variance):
        log_scales = np.log(variance) if np.all(np.asarray(variance) > 0) else None
        if log_scales is None:
            raise ValueError("variance")
        return self.discretized_log_likelihood(x0, mean, np.exp(log_scales), 256)


class PixelsErfcWithoutRoot(_Pixels):
    truth = "the erfc of the CDF gets the deviation without the root of 2, so that the standard deviation is sqrt(2) too small"
    kind = "factor"

    def bins(self, x, mean, std, levels):
        def upper(z):
            return 0.5 * erfc(z)

        h = self.half(levels)
        a, b = (x - h - mean) / std, (x + h - mean) / std
        flip = a + b < 0
        near, far = np.where(flip, -b, a), np.where(flip, -a, b)
        with np.errstate(divide="ignore"):
            middle = np.log(upper(near) - upper(far))
            return np.where(x == -1, np.log(upper(-b)), np.where(x == 1, np.log(upper(a)), middle))


# chains


class _Chain:
    """The bound of a diffusion model: the tables, q's posterior, p's kernel and the three sums, each a method to override."""

    def table(self, betas):
        return cumulative(betas)

    def check_grid(self, grid, betas, states):
        g = [int(each) for each in grid]
        if g[-1] != 0 or g[0] > len(betas) or any(a <= b for a, b in pairwise(g)) or len(states) != len(g):
            raise ValueError("grid")
        return g

    def forward_step(self, x_s, t, s, betas):
        ab = self.table(betas)
        ratio = extract(ab, t, x_s) / extract(ab, s, x_s)
        return np.sqrt(ratio) * x_s, 1 - ratio

    def q_posterior(self, x0, x_t, t, s, betas):
        ab = self.table(betas)
        at, as_ = extract(ab, t, x_t), extract(ab, s, x_t)
        beta = 1 - at / as_
        mean = np.sqrt(as_) * beta / (1 - at) * x0 + np.sqrt(at / as_) * (1 - as_) / (1 - at) * x_t
        return mean, beta * (1 - as_) / (1 - at)

    def predict_x0(self, prediction, x_t, t, betas, kind):
        ab = extract(self.table(betas), t, x_t)
        if kind in ("eps", "score") and np.any(ab == 0):
            raise ValueError("no signal")
        c, s = np.sqrt(ab), np.sqrt(1 - ab)
        if kind == "x0":
            return prediction
        if kind == "eps":
            return (x_t - s * prediction) / c
        if kind == "v":
            return c * x_t - s * prediction
        if kind == "score":
            return (x_t + s**2 * prediction) / c
        return (x_t + s * prediction) / (c + s)

    def p_variance(self, variance, x_t, t, s, betas, mix=None):
        _, tilde = self.q_posterior(x_t, x_t, t, s, betas)
        _, beta = self.forward_step(x_t, t, s, betas)
        if variance == "posterior":
            return tilde
        return beta if variance == "beta" else np.exp(self.mixed(np.log(beta), np.log(tilde), mix))

    def mixed(self, high, low, mix):
        return mix * high + (1 - mix) * low

    def p_step(self, prediction, x_t, t, s, betas, kind, variance, mix=None):
        x0 = self.predict_x0(prediction, x_t, t, betas, kind)
        mean, _ = self.q_posterior(x0, x_t, t, s, betas)
        return mean, self.p_variance(variance, x_t, t, s, betas, mix)

    def last_aware(self, model, x_t, t, s, betas, variance):
        return self.p_step(model(x_t, t), x_t, t, s, betas, "eps", "beta" if s == 0 else variance)

    def prior_term(self, x0, betas):
        ab = self.table(betas)[-1]
        return normal_kl(np.sqrt(ab) * x0, 1 - ab, np.zeros_like(x0), 1.0)

    def inner_kl(self, prediction, x_t, x0, t, s, betas, kind, variance, mix=None):
        same_shape(x_t, x0)
        if np.any(np.asarray(s) <= 0):
            raise ValueError("s = 0 has no inner term")
        q = self.q_posterior(x0, x_t, t, s, betas)
        return normal_kl(*q, *self.p_step(prediction, x_t, t, s, betas, kind, variance, mix))

    def elbo_joint(self, states, grid, betas, model, variance):
        g = self.check_grid(grid, betas, states)
        total = normal_logpdf(states[0], 0.0, 1.0)
        for k, (t, s) in enumerate(pairwise(g)):
            total += normal_logpdf(states[k + 1], *self.last_aware(model, states[k], t, s, betas, variance))
            total -= normal_logpdf(states[k], *self.forward_step(states[k + 1], t, s, betas))
        return total

    def elbo_bayes(self, states, grid, betas, model, variance):
        g = self.check_grid(grid, betas, states)
        x0, ab = states[-1], self.table(betas)
        total = normal_logpdf(states[0], 0.0, 1.0) - normal_logpdf(states[0], np.sqrt(ab[g[0]]) * x0, 1 - ab[g[0]])
        for k, (t, s) in enumerate(pairwise(g)):
            total += normal_logpdf(states[k + 1], *self.last_aware(model, states[k], t, s, betas, variance))
            if s:
                total -= normal_logpdf(states[k + 1], *self.q_posterior(x0, states[k], t, s, betas))
        return total

    def noised(self, x0, t, betas, noise):
        ab = self.table(betas)[t]
        return np.sqrt(ab) * x0 + np.sqrt(1 - ab) * noise

    def decode(self, decoder, x0, mean, var):
        if decoder == "gaussian":
            return normal_logpdf(x0, mean, var)
        return self.squared_decoder(x0, mean, var) if decoder == "squared" else _Pixels().discretized_decoder(x0, mean, var)

    def squared_decoder(self, x0, mean, variance):
        return normal_logpdf(x0, mean, 1.0)

    def elbo_terms(self, x0, grid, betas, model, noise, variance, decoder):
        g = self.check_grid(grid, betas, [x0, *noise])
        if g[0] != len(betas):
            raise ValueError("the grid starts before T")
        terms = [self.prior_term(x0, betas)]
        for k, (t, s) in enumerate(pairwise(g)):
            x_t = self.noised(x0, t, betas, noise[k])
            if s:
                terms.append(self.inner_kl(model(x_t, t), x_t, x0, t, s, betas, "eps", variance))
            else:
                terms.append(-self.decode(decoder, x0, *self.last_aware(model, x_t, t, s, betas, variance)))
        return np.array(terms)


class ChainOfLogTables(_Chain):
    """The cumulative products as the exponential of a sum of log1p, and every ratio as a difference of logs."""

    truth = ""
    kind = "right"

    def table(self, betas):
        with np.errstate(divide="ignore"):
            return np.exp(np.append(0.0, np.cumsum(np.log1p(-betas))))


class ChainModelToldNext(_Chain):
    truth = "in the bounds the network is given the time the step goes to, not the time of its input"
    kind = "index"

    def last_aware(self, model, x_t, t, s, betas, variance):
        return self.p_step(model(x_t, s), x_t, t, s, betas, "eps", "beta" if s == 0 else variance)


class ChainClipsData(_Chain):
    """clip_denoised=True is the default of many samplers, and the bound inherits it."""

    truth = "the implied x0 is clipped to [-1, 1] before p's mean is formed"
    kind = "constant"

    def predict_x0(self, prediction, x_t, t, betas, kind):
        return np.clip(super().predict_x0(prediction, x_t, t, betas, kind), -1, 1)


class ChainLastStepCopiesSecond(_Chain):
    """The variance of the last step is the posterior variance of time 2 (asked about in openai/guided-diffusion#69)."""

    truth = "the last step's variance is the posterior variance at t = 2, s = 1 (the clipped log-variance of a well-known code), not beta"
    kind = "branch"

    def last_aware(self, model, x_t, t, s, betas, variance):
        mean, var = super().last_aware(model, x_t, t, s, betas, variance)
        if s == 0 and len(betas) > 1:
            var = self.q_posterior(x_t, x_t, 2, 1, betas)[1]
        return mean, var


class ChainWithoutPrior(_Chain):
    truth = "the prior is left out: log p(x_T) in the joint form, and L_T as zeros"
    kind = "term"

    def elbo_joint(self, states, grid, betas, model, variance):
        return super().elbo_joint(states, grid, betas, model, variance) - normal_logpdf(states[0], 0.0, 1.0)

    def prior_term(self, x0, betas):
        return np.zeros(len(x0))


class ChainPriorLogVariance(_Chain):
    """A log-variance that is not the logarithm of the variance (reported in tqch/ddpm-torch#9)."""

    truth = "in L_T the variance 1 - alpha_bar_T stands where its logarithm is meant, so that the variance is exp(1 - alpha_bar_T)"
    kind = "units"

    def prior_term(self, x0, betas):
        ab = self.table(betas)[-1]
        mean, logvar = np.sqrt(ab) * x0, 1 - ab
        return sum_except_batch(0.5 * (-1.0 - logvar + np.exp(logvar) + mean**2))


class ChainReadsForward(_Chain):
    truth = "the Bayes form takes the first state for x0 though the chain begins with the noise"
    kind = "index"

    def elbo_bayes(self, states, grid, betas, model, variance):
        g = self.check_grid(grid, betas, states)
        clean, ab = states[0], self.table(betas)
        value = normal_logpdf(states[0], 0.0, 1.0) - normal_logpdf(states[0], np.sqrt(ab[g[0]]) * clean, 1 - ab[g[0]])
        for x_t, x_s, t, s in zip(states[:-1], states[1:], g[:-1], g[1:], strict=True):
            value = value + normal_logpdf(x_s, *self.last_aware(model, x_t, t, s, betas, variance))
            if s > 0:
                value = value - normal_logpdf(x_s, *self.q_posterior(clean, x_t, t, s, betas))
        return value


class ChainOneStepBeta(_Chain):
    """Skipping times with the tables of single steps: betas[t] (corrected for a sampler in huggingface/diffusers#3006)."""

    truth = "the variance called beta is the table's beta_t although the step skips times: it should be 1 - alpha_bar_t / alpha_bar_s"
    kind = "alternative"

    def p_variance(self, variance, x_t, t, s, betas, mix=None):
        if variance == "posterior":
            return super().p_variance(variance, x_t, t, s, betas)
        beta = extract(betas, np.asarray(t) - 1, x_t)
        low = np.log(self.q_posterior(x_t, x_t, t, s, betas)[1]) if variance == "learned" else 0.0
        return beta if variance == "beta" else np.exp(self.mixed(np.log(beta), low, mix))


class ChainMixTurned(_Chain):
    truth = "the learned variance's mix weighs the posterior's log-variance, and 1 - mix that of beta"
    kind = "swap"

    def mixed(self, high, low, mix):
        return low * mix + high * (1 - mix)


class ChainMixFromMinusOne(_Chain):
    truth = "the mix is read as a network's output in [-1, 1] and moved to (mix + 1) / 2"
    kind = "alternative"

    def mixed(self, high, low, mix):
        frac = (mix + 1) / 2
        return frac * high + (1 - frac) * low


class ChainBitsPerDimension(_Chain):
    """The form in which such codes report their terms: mean over the coordinates, divided by log 2."""

    truth = "inner terms are in bits per dimension, and so are those of the list, but neither its first nor its last"
    kind = "units"

    def inner_kl(self, prediction, x_t, x0, t, s, betas, kind, variance, mix=None):
        nats = super().inner_kl(prediction, x_t, x0, t, s, betas, kind, variance, mix)
        return nats / (x0[0].size * np.log(2.0))


class ChainEqualVariances(_Chain):
    truth = "an inner term is only the squared distance of the means over twice p's variance: nothing for variances that differ"
    kind = "term"

    def inner_kl(self, prediction, x_t, x0, t, s, betas, kind, variance, mix=None):
        same_shape(x_t, x0)
        if np.min(s) < 1:
            raise ValueError("s")
        mu, _ = self.q_posterior(x0, x_t, t, s, betas)
        mu_hat, var = self.p_step(prediction, x_t, t, s, betas, kind, variance, mix)
        return sum_except_batch((mu - mu_hat) ** 2 / (2 * var))


class ChainTermsFromTheEnd(_Chain):
    truth = "the terms come in the order of increasing time, L_0 first"
    kind = "index"

    def elbo_terms(self, x0, grid, betas, model, noise, variance, decoder):
        return super().elbo_terms(x0, grid, betas, model, noise, variance, decoder)[::-1]


class ChainOneNoise(_Chain):
    truth = "all steps use the first noise"
    kind = "index"

    def elbo_terms(self, x0, grid, betas, model, noise, variance, decoder):
        same_shape(noise[0], x0)
        return super().elbo_terms(x0, grid, betas, model, [noise[0]] * len(noise), variance, decoder)


class ChainDecoderIgnored(_Chain):
    truth = "the last term is always that of the step's own Gaussian, whatever decoder is asked for"
    kind = "branch"

    def decode(self, decoder, x0, mean, var):
        return normal_logpdf(x0, mean, var)


class ChainSquaredDecoderByVariance(_Chain):
    truth = "the squared decoder divides by the variance, but its constant is that of variance 1"
    kind = "term"

    def squared_decoder(self, x0, mean, variance):
        residual = (x0 - mean).reshape(len(x0), -1)
        weights = 1 / np.broadcast_to(variance, x0.shape).reshape(len(x0), -1)
        return -0.5 * np.einsum("bi,bi,bi->b", residual, weights, residual) - 0.5 * residual.shape[1] * LOG_2PI


class ChainTableOfSingles(_Chain):
    """A table of T entries: index -1, for time 0, is its last."""

    truth = "alpha_bar is the bare cumulative product indexed with t - 1: right for t >= 1, but at s = 0 it is the last entry"
    kind = "index"

    def forward_step(self, x_s, t, s, betas):
        ab = np.cumprod(1 - betas)
        ratio = extract(ab, np.asarray(t) - 1, x_s) / extract(ab, np.asarray(s) - 1, x_s)
        return np.sqrt(ratio) * x_s, 1 - ratio


class ChainSingleTable(_Chain):
    truth = "the table of alpha_bar is in float32"
    kind = "dtype"

    def table(self, betas):
        return np.append(np.float32(1), np.cumprod(1 - betas.astype(np.float32), dtype=np.float32))


class ChainTwoSlips(_Chain):
    truth = "two mistakes: the noise is scaled with 1 - alpha_bar_t (no root), and the last term has the wrong sign"
    kind = "two"

    def noised(self, x0, t, betas, noise):
        ab = self.table(betas)[t]
        return ab**0.5 * x0 + (1 - ab) * noise

    def decode(self, decoder, x0, mean, var):
        return -super().decode(decoder, x0, mean, var)


# weights and simple losses


class _Weights:
    """The three weights of the squared errors."""

    def known(self, t, s, betas):
        t, s = np.asarray(t), np.asarray(s)
        if np.any(s < 1) or np.any(t <= s) or np.any(t > len(betas)):
            raise ValueError("1 <= s < t <= T")
        return cumulative(betas), t, s

    def tilde(self, ab, t, s):
        return (1 - ab[t] / ab[s]) * (1 - ab[s]) / (1 - ab[t])

    def weight_mean(self, t, s, betas):
        return 0.5 / self.tilde(*self.known(t, s, betas))

    def weight_eps(self, t, s, betas):
        ab, t, s = self.known(t, s, betas)
        if np.any(ab[t] == 0):
            raise ValueError("no signal")
        coefficient = (1 - ab[t] / ab[s]) / np.sqrt(ab[t] / ab[s] * (1 - ab[t]))
        return coefficient**2 / (2 * self.tilde(ab, t, s))

    def weight_x0(self, t, s, betas):
        ab, t, s = self.known(t, s, betas)
        return 0.5 * (ab[s] / (1 - ab[s]) - ab[t] / (1 - ab[t]))


class WeightsInClosedForm(_Weights):
    """All three weights as single fractions of alpha_bar_t and alpha_bar_s."""

    truth = ""
    kind = "right"

    def weight_x0(self, t, s, betas):
        ab, t, s = self.known(t, s, betas)
        return (ab[s] - ab[t]) / (2 * (1 - ab[s]) * (1 - ab[t]))

    def weight_mean(self, t, s, betas):
        ab, t, s = self.known(t, s, betas)
        return (1 - ab[t]) * ab[s] / (2 * (1 - ab[s]) * (ab[s] - ab[t]))

    def weight_eps(self, t, s, betas):
        ab, t, s = self.known(t, s, betas)
        if np.any(ab[t] == 0):
            raise ValueError("no signal")
        return (ab[s] - ab[t]) / (2 * ab[t] * (1 - ab[s]))


class WeightsOfBeta(_Weights):
    truth = "the variance in the weights is beta_{t|s} where beta-tilde is meant"
    kind = "alternative"

    def tilde(self, ab, t, s):
        return 1 - ab[t] / ab[s]


class WeightsNotHalved(_Weights):
    truth = "the weight of the squared error of x0 is the loss of signal-to-noise ratio, without the half; the other two are right"
    kind = "factor"

    def weight_x0(self, t, s, betas):
        ab, t, s = self.known(t, s, betas)
        snr = np.divide(ab[1:], 1 - ab[1:])
        return snr[s - 1] - snr[t - 1]


class WeightsRootSnr(_Weights):
    truth = "the signal-to-noise ratio is the quotient of the amplitudes, sqrt(alpha_bar) / sqrt(1 - alpha_bar), not squared"
    kind = "power"

    def weight_x0(self, t, s, betas):
        ab, t, s = self.known(t, s, betas)
        signal, sigma = np.sqrt(ab), np.sqrt(1 - ab)
        return 0.5 * (signal[s] / sigma[s] - signal[t] / sigma[t])

    def min_snr_weight(self, t, betas, gamma, kind):
        ab = cumulative(betas)
        if np.any(np.asarray(t) < 1) or np.any(np.asarray(t) > len(betas)) or gamma <= 0 or kind not in ("eps", "x0", "v"):
            raise ValueError("inputs")
        snr = (np.sqrt(ab) / np.sqrt(np.maximum(1 - ab, 1e-300)))[t]
        clipped = np.minimum(snr, gamma)
        return {"x0": clipped, "eps": clipped / snr, "v": clipped / (snr + 1)}[kind]


class WeightsEpsEarlierNoise(_Weights):
    truth = "the weight of the noise has 1 - alpha_bar_s where 1 - alpha_bar_t stands"
    kind = "index"

    def weight_eps(self, t, s, betas):
        ab, t, s = self.known(t, s, betas)
        beta, alpha = 1 - ab[t] / ab[s], ab[t] / ab[s]
        if np.any(alpha == 0):
            raise ValueError("no signal")
        return beta * beta / (2 * self.tilde(ab, t, s) * alpha * (1 - ab[s]))


class WeightsUnchecked:
    """The right weights without any look at the times."""

    truth = "no checks: s = 0 gives infinity, negative weights come back for s >= t, where only an error is right"
    kind = "check"

    def parts(self, t, s, betas):
        ab = cumulative(betas)
        return ab[t], ab[s]

    def weight_mean(self, t, s, betas):
        at, as_ = self.parts(t, s, betas)
        with np.errstate(all="ignore"):
            return np.divide((1 - at) * as_, 2 * (1 - as_) * (as_ - at))

    def weight_eps(self, t, s, betas):
        at, as_ = self.parts(t, s, betas)
        with np.errstate(all="ignore"):
            return np.divide(as_ - at, 2 * at * (1 - as_))

    def weight_x0(self, t, s, betas):
        at, as_ = self.parts(t, s, betas)
        with np.errstate(all="ignore"):
            return np.divide(as_ - at, 2 * (1 - as_) * (1 - at))


class _MinSnr:
    kinds = ("eps", "x0", "v")

    def ratio_at(self, t, betas, gamma, kind):
        if np.any(np.asarray(t) < 1) or np.any(np.asarray(t) > len(betas)) or gamma <= 0 or kind not in self.kinds:
            raise ValueError("inputs")
        ab = np.cumprod(1 - betas)[np.asarray(t) - 1]
        return ab / (1 - ab)


class MinSnrByNoise(_MinSnr):
    """All three weights without a division by the ratio: min(1, gamma / SNR) as a fraction of alpha_bar."""

    truth = ""
    kind = "right"

    def min_snr_weight(self, t, betas, gamma, kind):
        self.ratio_at(t, betas, gamma, kind)
        ab = np.cumprod(1 - betas)[np.asarray(t) - 1]
        kept = np.where(ab <= gamma * (1 - ab), 1.0, gamma * (1 - ab) / np.where(ab == 0, 1, ab))
        return kept if kind == "eps" else kept * ab if kind == "v" else kept * (ab / (1 - ab))


class MaxSnr(_MinSnr):
    """The clamp from the wrong side (lucidrains/recurrent-interface-network-pytorch#11)."""

    truth = "the ratio is clamped from below: max(SNR, gamma)"
    kind = "swap"

    def min_snr_weight(self, t, betas, gamma, kind):
        ratio = self.ratio_at(t, betas, gamma, kind)
        clipped = np.clip(ratio, gamma, None)
        return {"x0": clipped, "eps": clipped / ratio if np.all(ratio) else clipped, "v": clipped / (ratio + 1)}[kind]


class MinSnrShiftedInside(_MinSnr):
    """The 1 of the v weight is added before the minimum is taken, too (huggingface/diffusers#5654)."""

    truth = "for v the minimum is of SNR + 1 and gamma, and then divided by SNR + 1"
    kind = "term"

    def min_snr_weight(self, t, betas, gamma, kind):
        ratio = self.ratio_at(t, betas, gamma, kind)
        if kind == "v":
            ratio = ratio + 1
        weight = np.stack([ratio, gamma * np.ones_like(ratio)], axis=-1).min(axis=-1)
        return weight if kind == "x0" else np.divide(weight, ratio, out=np.ones_like(ratio), where=ratio > 0)


class MinSnrLateTable(_MinSnr):
    truth = "the cumulative product without a leading 1 is indexed with t, so that the ratio is that of t + 1 (the last time twice)"
    kind = "index"

    def ratio_at(self, t, betas, gamma, kind):
        super().ratio_at(t, betas, gamma, kind)
        ab = np.cumprod(1 - betas)[np.minimum(t, len(betas) - 1)]
        return ab / (1 - ab)

    def min_snr_weight(self, t, betas, gamma, kind):
        ratio = self.ratio_at(t, betas, gamma, kind)
        capped = np.minimum(ratio, gamma)
        if kind == "x0":
            return capped
        return capped / (ratio + 1) if kind == "v" else np.where(ratio > 0, capped / np.where(ratio > 0, ratio, 1), 1.0)


class MinSnrBatchFirst(_MinSnr):
    truth = "the weight of the first example's time serves all"
    kind = "part"

    def min_snr_weight(self, t, betas, gamma, kind):
        ratio = np.broadcast_to(np.atleast_1d(self.ratio_at(t, betas, gamma, kind))[0], np.shape(t))
        if kind == "eps":
            return np.minimum(1, gamma / np.maximum(ratio, 1e-300))
        return np.minimum(ratio, gamma) / (1 if kind == "x0" else 1 + ratio)


class MinSnrSoft(_MinSnr):
    truth = "the soft minimum SNR gamma / (SNR + gamma) is used, a later variant of the weighting"
    kind = "alternative"

    def min_snr_weight(self, t, betas, gamma, kind):
        ratio = self.ratio_at(t, betas, gamma, kind)
        soft = ratio * gamma / (ratio + gamma)
        return {"x0": soft, "eps": gamma / (ratio + gamma), "v": soft / (ratio + 1)}[kind]


class SimpleLosses:
    """l_simple by an inner product, hybrid as a convex form, bits by log2."""

    truth = ""
    kind = "right"

    def l_simple(self, target, prediction):
        same_shape(target, prediction)
        finite(target, prediction)
        d = (target - prediction).reshape(len(target), 1, -1)
        return (d @ d.transpose(0, 2, 1))[:, 0, 0]

    def hybrid(self, simple, vlb, weight=None):
        weight = 1e-3 if weight is None else weight
        if weight < 0:
            raise ValueError("weight")
        return np.stack([simple, vlb], axis=-1) @ np.array([1.0, weight])

    def bits_per_dim(self, nats, dimensions):
        if dimensions < 1:
            raise ValueError("dimensions")
        return nats * math.log2(math.e) / dimensions


class SimpleMean(SimpleLosses):
    truth = "the squared error is a mean over the event"
    kind = "units"

    def l_simple(self, target, prediction):
        same_shape(target, prediction)
        finite(target, prediction)
        return ((target - prediction) ** 2).mean(axis=tuple(range(1, target.ndim)))


class SimpleLastAxis:
    truth = "only the last axis is summed and the first row of the rest is kept, so that of an image one pixel's channels remain"
    kind = "part"

    def l_simple(self, target, prediction):
        same_shape(target, prediction)
        finite(target, prediction)
        error = np.sum(np.square(prediction - target), axis=-1)
        return error.reshape(len(target), -1)[:, 0]


class SimpleInPlace:
    truth = "the target is overwritten by the residual"
    kind = "alias"
    found = False

    def l_simple(self, target, prediction):
        same_shape(target, prediction)
        finite(target, prediction)
        target -= prediction
        target **= 2
        return target.reshape(len(target), -1).sum(axis=1)


class HybridZeroIsNone:
    truth = "a weight of 0 counts as none given, and becomes 1 / 1000"
    kind = "branch"

    def hybrid(self, simple, vlb, weight=None):
        if weight is not None and weight < 0:
            raise ValueError("weight")
        weight = weight or 1e-3
        return simple + weight * vlb

    def bits_per_dim(self, nats, dimensions):
        if dimensions < 1:
            raise ValueError("dimensions")
        return nats / dimensions / np.log(2)


class HybridMixes:
    truth = "the hybrid loss is a convex mix, (1 - weight) simple + weight vlb"
    kind = "alternative"

    def hybrid(self, simple, vlb, weight=None):
        weight = 0.001 if weight is None else weight
        if not weight >= 0:
            raise ValueError("weight")
        return (1 - weight) * np.asarray(simple) + weight * np.asarray(vlb)


class BitsTimesLog2:
    truth = "nats are multiplied with log 2 where they are divided by it"
    kind = "units"

    def bits_per_dim(self, nats, dimensions):
        if dimensions <= 0:
            raise ValueError("dimensions")
        return np.asarray(nats) * np.log(2) / dimensions


class BitsOfBytes:
    truth = "8 - 1 = 7 bits are added, the density's change from [-1, 1] to 256 levels"
    kind = "constant"

    def bits_per_dim(self, nats, dimensions):
        if dimensions <= 0:
            raise ValueError("dimensions")
        return np.array([n / dimensions / math.log(2) + math.log2(128) for n in nats])


class BitsOfBatch:
    truth = "two mistakes: the batch's mean is returned for all, and the logarithm is of base 10"
    kind = "two"

    def bits_per_dim(self, nats, dimensions):
        if dimensions <= 0:
            raise ValueError("dimensions")
        return np.full(len(nats), np.mean(nats) / (dimensions * np.log10(2)))
