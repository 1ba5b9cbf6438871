"""Implementations of the forward process, the reverse step and predictions with a planted mistake each, and right ones in unusual styles."""

import itertools

import numpy as np
from scipy import stats


def bars(betas):
    return np.concatenate([[1.0], np.cumprod(1.0 - betas)])


def column(values, like):
    """One number for each example, or one for all, shaped to go with a batch."""
    values = np.asarray(values)
    return values.reshape(values.shape + (1,) * (np.ndim(like) - values.ndim)) if values.ndim else values


def extract(table, t, like):
    return column(np.take(table, t), like)


def flat_sum(values):
    return values.reshape(len(values), -1).sum(axis=1)


def gaussian_logpdf(x, mean, variance):
    variance = np.broadcast_to(variance, x.shape)
    return flat_sum(-0.5 * (np.log(2 * np.pi) + np.log(variance) + (x - mean) ** 2 / variance))


def refuse(condition, message):
    if np.any(condition):
        raise ValueError(message)


class _Levels:
    """Noise levels and the weights of the posterior, right; classes below override a helper or a method."""

    def _bar(self, t, betas, like):
        refuse(np.less(t, 0) | np.greater(t, len(betas)), "t is not a time of the schedule")
        return extract(bars(betas), t, like)

    def _coefficients(self, bar_t, bar_s):
        return np.sqrt(bar_s) * (1 - bar_t / bar_s) / (1 - bar_t), np.sqrt(bar_t / bar_s) * (1 - bar_s) / (1 - bar_t)

    def _variance(self, bar_t, bar_s):
        return (1 - bar_t / bar_s) * (1 - bar_s) / (1 - bar_t)


class _Noising(_Levels):
    """The forward process by its marginals."""

    def q_sample(self, x0, t, betas, noise):
        refuse(np.shape(noise) != np.shape(x0), "the noise has another shape")
        refuse(~np.isfinite(x0) | ~np.isfinite(noise), "not finite")
        return self._mix(x0, noise, self._bar(t, betas, x0))

    def _mix(self, x, noise, kept):
        return np.sqrt(kept) * x + np.sqrt(1 - kept) * noise

    def q_marginal(self, x0, t, betas):
        bar = self._bar(t, betas, x0)
        return np.sqrt(bar) * x0, (1 - bar) * np.ones_like(x0)

    def q_between(self, x_s, t, s, betas, noise):
        return self._mix(x_s, noise, self._bar(t, betas, x_s) / self._bar(s, betas, x_s))


class _Posterior(_Levels):
    """The posterior of one step back, of any length."""

    def posterior(self, x_t, x0, t, s, betas):
        refuse(np.greater_equal(s, t), "s < t")
        bar_t, bar_s = self._bar(t, betas, x_t), self._bar(s, betas, x_t)
        first, second = self._coefficients(bar_t, bar_s)
        return first * x0 + second * x_t, self._variance(bar_t, bar_s) * np.ones_like(x_t)

    def posterior_variance(self, t, s, betas):
        return self._variance(self._bar(t, betas, t), self._bar(s, betas, s))


class _Pairs:
    """A prediction as the pair (x0, eps) that it stands for, right."""

    def _levels(self, t, like, betas):
        bar = extract(bars(betas), t, like)
        return np.sqrt(bar), np.sqrt(1 - bar)

    def _pair(self, prediction, x_t, signal, sigma, kind):
        if kind == "x0":
            refuse(sigma == 0, "no noise to tell")
            return prediction, (x_t - signal * prediction) / sigma
        if kind == "eps":
            refuse(signal == 0, "no signal to tell")
            return (x_t - sigma * prediction) / signal, prediction
        if kind == "v":
            return signal * x_t - sigma * prediction, sigma * x_t + signal * prediction
        if kind == "score":
            refuse(sigma == 0, "no score without noise")
            return self._pair(-sigma * prediction, x_t, signal, sigma, "eps")
        return (x_t + sigma * prediction) / (signal + sigma), (x_t - signal * prediction) / (signal + sigma)

    def _combine(self, kind, x0, eps, signal, sigma):
        if kind == "x0":
            return x0
        if kind == "eps":
            return eps
        if kind == "v":
            return signal * eps - sigma * x0
        if kind == "score":
            refuse(sigma == 0, "no score without noise")
            return -eps / sigma
        return x0 - eps

    def _x0(self, prediction, x_t, t, betas, kind):
        return prediction if kind == "x0" else self._pair(prediction, x_t, *self._levels(t, x_t, betas), kind)[0]

    def _eps(self, prediction, x_t, t, betas, kind):
        return prediction if kind == "eps" else self._pair(prediction, x_t, *self._levels(t, x_t, betas), kind)[1]

    def _converted(self, prediction, x_t, t, betas, source, to):
        signal, sigma = self._levels(t, x_t, betas)
        if source == to:
            return prediction
        if {source, to} == {"eps", "score"}:
            refuse(sigma == 0, "no score without noise")
            return -prediction / sigma if to == "score" else -sigma * prediction
        return self._combine(to, *self._pair(prediction, x_t, signal, sigma, source), signal, sigma)


class _Readings(_Pairs):
    """The data and the noise that a prediction implies."""

    def to_x0(self, prediction, x_t, t, betas, kind):
        return self._x0(prediction, x_t, t, betas, kind)

    def to_eps(self, prediction, x_t, t, betas, kind):
        return self._eps(prediction, x_t, t, betas, kind)


class _Conversions(_Readings):
    """All kinds of predictions to and from each other."""

    def convert(self, prediction, x_t, t, betas, source, to):
        return self._converted(prediction, x_t, t, betas, source, to)

    def target(self, kind, x0, noise, t, betas):
        return self._combine(kind, x0, noise, *self._levels(t, x0, betas))


# right


class RightProcess(_Noising, _Posterior):
    """Tables by extract, as in many repositories."""

    truth = ""
    kind = "right"


class RightPrediction(_Conversions):
    """Conversions by pairs of data and noise."""

    truth = ""
    kind = "right"


class RightPosteriorByBayes:
    """The posterior as a product of two Gaussians in natural parameters (precisions add)."""

    truth = ""
    kind = "right"

    def posterior(self, x_t, x0, t, s, betas):
        T = len(betas)
        t, s = np.broadcast_to(t, len(x_t)), np.broadcast_to(s, len(x_t))
        if not np.all((s >= 0) & (s < t) & (t <= T)):
            raise ValueError("0 <= s < t <= T")
        mean, variance = np.empty_like(x_t), np.empty_like(x_t)
        for b in range(len(x_t)):
            alpha, prior = np.prod(1 - betas[s[b] : t[b]]), 1 - np.prod(1 - betas[: s[b]])
            if s[b] == 0:
                mean[b], variance[b] = x0[b], 0
                continue
            precision = 1 / prior + alpha / (1 - alpha)
            variance[b] = 1 / precision
            mean[b] = (np.sqrt(np.prod(1 - betas[: s[b]])) * x0[b] / prior + np.sqrt(alpha) * x_t[b] / (1 - alpha)) / precision
        return mean, variance

    def posterior_variance(self, t, s, betas):
        bar = bars(betas)
        alpha, spread = bar[t] / bar[s], 1 - bar[s]
        return spread * (1 - alpha) / (spread * alpha + 1 - alpha)


class RightSteps:
    """Several steps one after the other, with the variance added up."""

    truth = ""
    kind = "right"

    def q_between(self, x_s, t, s, betas, noise):
        t, s = np.broadcast_to(t, len(x_s)), np.broadcast_to(s, len(x_s))
        out = []
        for x, z, first, last in zip(x_s, noise, s, t, strict=True):
            variance = 0.0
            for beta in betas[first:last]:
                x, variance = x * np.sqrt(1 - beta), variance * (1 - beta) + beta
            out.append(x + np.sqrt(variance) * z)
        return np.stack(out)

    def q_step(self, x, t, betas, noise):
        angle = np.arcsin(np.sqrt(betas[np.asarray(t) - 1]))
        angle = angle.reshape(np.shape(t) + (1,) * (x.ndim - np.ndim(t)))
        return np.cos(angle) * x + np.sin(angle) * noise


class RightDensities:
    """Densities by scipy, chains by explicit pairs of neighbours."""

    truth = ""
    kind = "right"

    def log_density(self, x, mean, variance):
        if np.any(np.asarray(variance) <= 0):
            raise ValueError("a variance is not positive")
        return stats.norm.logpdf(x, mean, np.sqrt(variance)).sum(axis=tuple(range(1, x.ndim)))

    def score(self, x, mean, variance):
        return (mean - x) * np.reciprocal(variance)

    def trajectory_log_density(self, states, grid, betas):
        pairs = zip(states[:-1], states[1:], grid[:-1], grid[1:], strict=True)
        alphas = [np.exp(np.log1p(-betas[s:t]).sum()) for t, s in itertools.pairwise(grid)]
        return sum(
            self.log_density(x, np.sqrt(alpha) * before, np.full_like(x, 1 - alpha))
            for (x, before, *_), alpha in zip(pairs, alphas, strict=True)
        )


class RightLearnedVariance:
    """The learned variance as a geometric mean of powers; beta-tilde by the drop of two noise levels."""

    truth = ""
    kind = "right"

    def model_variance(self, variance, x_t, t, s, betas, mix=None):
        noise = 1 - bars(betas)
        noise_t, noise_s = extract(noise, t, x_t), extract(noise, s, x_t)
        beta = (noise_t - noise_s) / (1 - noise_s)
        small = beta * (noise_s / noise_t)
        if variance == "learned":
            return beta**mix * small ** (1 - mix)
        return np.broadcast_to({"posterior": small, "beta": beta}[variance], x_t.shape)

    def mean_from_eps(self, eps, x_t, t, s, betas):
        bar = bars(betas)
        bar_t, bar_s = extract(bar, t, x_t), extract(bar, s, x_t)
        if np.any(bar_t == 0):
            raise ZeroDivisionError("no signal is left")
        noise_t = 1 - bar_t
        return np.sqrt(bar_s / bar_t) * x_t - (bar_s - bar_t) / np.sqrt(bar_s * bar_t * noise_t) * eps


class RightTweedie:
    """Tweedie's formulas through the SNR, the covariance by adding to a diagonal."""

    truth = ""
    kind = "right"

    def tweedie_mean(self, x_t, score, t, betas):
        log_bar = np.concatenate([[0.0], np.log1p(-betas).cumsum()])[t] if betas.max() < 1 else np.log(bars(betas)[t])
        if np.any(np.isneginf(log_bar)):
            raise ValueError("no signal is left")
        log_bar = column(log_bar, x_t)
        return np.exp(-log_bar / 2) * (x_t - np.expm1(log_bar) * score)

    def tweedie_covariance(self, hessian, t, betas):
        bar = extract(bars(betas), t, hessian)
        scaled = (1 - bar) * hessian
        index = np.arange(hessian.shape[-1])
        scaled[:, index, index] += 1
        return (1 / bar - 1) * scaled


# noising


class NoiseByBeta:
    """The variance is put on the noise for the standard deviation (acids-ircam/diffusion_models#1)."""

    truth = "beta noise for sqrt(beta) noise"
    kind = "power"

    def q_step(self, x, t, betas, noise):
        beta = extract(betas, np.asarray(t) - 1, x)
        return np.sqrt(1.0 - beta) * x + beta * noise


class StepZeroBased:
    """Times are taken as indices from 0, and an index too large for the table as its last."""

    truth = "beta_{t+1} is used for beta_t (the table counts from 0), clamped at the end"
    kind = "index"

    def q_step(self, x, t, betas, noise):
        beta = column(np.take(betas, t, mode="clip"), x)
        return np.sqrt(1 - beta) * x + np.sqrt(beta) * noise


class VarianceOnNoise(_Noising):
    """No root on the noise level, in both samplers."""

    truth = "the noise is multiplied by the variance 1 - alpha_bar and not by its root"
    kind = "power"

    def _mix(self, x, noise, kept):
        return kept**0.5 * x + (1 - kept) * noise


class OneMinusRoot(_Noising):
    """One minus the root of alpha bar is read as the variance (jcwang-gh/classifier-free-diffusion-guidance-Pytorch#12)."""

    truth = "the variance is 1 - sqrt(alpha_bar)"
    kind = "power"

    def q_marginal(self, x0, t, betas):
        root = np.sqrt(self._bar(t, betas, x0))
        return root * x0, np.broadcast_to(1.0 - root, x0.shape)


class LastAtTimeZero(_Noising, _Posterior):
    """A table without the 1 for t = 0, which reads its last entry there."""

    truth = "time 0 wraps around to the last alpha bar (index t - 1 = -1)"
    kind = "branch"

    def _bar(self, t, betas, like):
        alphas_cumprod = np.cumprod(1 - betas)
        return column(alphas_cumprod[np.asarray(t) - 1], like)


class TimeFromZero(_Noising, _Posterior):
    """t is an index into a table that begins with alpha_bar_1."""

    truth = "alpha_bar_{t+1} for alpha_bar_t: the table begins with t = 1, and is clamped at the end"
    kind = "index"

    def _bar(self, t, betas, like):
        alphas_cumprod = np.cumprod(1 - betas)
        return column(alphas_cumprod[np.minimum(t, len(betas) - 1)], like)


class FirstTimeForAll(_Noising, _Posterior):
    """The first example's time stands for those of the batch."""

    truth = "t[0] is used for the whole batch"
    kind = "part"

    def _bar(self, t, betas, like):
        return super()._bar(np.ravel(t)[0], betas, like)


class TimesAlongLastAxis(_Noising, _Posterior):
    """Coefficients (B,) meet the last axis of the data."""

    truth = "coefficients of shape (B,) are broadcast along the last axis instead of the first"
    kind = "axis"

    def _bar(self, t, betas, like):
        refuse(np.less(t, 0), "t is not a time of the schedule")
        return bars(betas)[np.asarray(t)]


class NoisedInPlace(_Noising):
    """The clean data are scaled in place, and so lost for the caller."""

    truth = "x0 is overwritten (x0 *= sqrt(alpha_bar))"
    kind = "alias"
    found = False

    def q_sample(self, x0, t, betas, noise):
        refuse(noise.shape != x0.shape or not np.isfinite(x0).all(), "the noise has another shape, or x0 is not finite")
        bar = self._bar(t, betas, x0)
        x0 *= np.sqrt(bar)
        x0 += np.sqrt(1 - bar) * noise
        return x0


class MarginalScaledByData(_Noising):
    """ones_like is forgotten where the scale is made as large as the data (blt2114/twisted_diffusion_sampler#3)."""

    truth = "the variance is multiplied by x0"
    kind = "term"

    def q_marginal(self, x0, t, betas):
        bar = self._bar(t, betas, x0)
        return np.sqrt(bar) * x0, (1 - bar) * x0


class BetasAddUp(_Noising):
    """The noise of several steps as the sum of their betas."""

    truth = "beta between s and t is the sum of the betas, without the damping of earlier noise"
    kind = "alternative"

    def q_between(self, x_s, t, s, betas, noise):
        total = np.append(0.0, np.cumsum(betas))
        alpha = self._bar(t, betas, x_s) / self._bar(s, betas, x_s)
        beta = np.minimum(extract(total, t, x_s) - extract(total, s, x_s), 1.0)
        return np.sqrt(alpha) * x_s + np.sqrt(beta) * noise


class NoiseFromTheStart(_Noising):
    """From s to t with the noise of t's marginal."""

    truth = "the noise level is that of q(x_t | x_0), 1 - alpha_bar_t, not that from s to t"
    kind = "term"

    def q_between(self, x_s, t, s, betas, noise):
        bar_t, bar_s = self._bar(t, betas, x_s), self._bar(s, betas, x_s)
        return np.sqrt(bar_t / bar_s) * x_s + np.sqrt(1 - bar_t) * noise


# posterior


class PosteriorWeightsSwapped(_Posterior):
    """The two coefficients change places."""

    truth = "the coefficients of x0 and x_t are swapped"
    kind = "swap"

    def _coefficients(self, bar_t, bar_s):
        return super()._coefficients(bar_t, bar_s)[::-1]


class PosteriorOfOneStep:
    """alpha_t and beta_t of the schedule, where steps are skipped (see huggingface/diffusers#5130)."""

    truth = "alpha_t and beta_t are those of one step, which is wrong where s < t - 1"
    kind = "branch"

    def _parts(self, t, s, betas, like):
        bar = bars(betas)
        beta = extract(betas, np.asarray(t) - 1, like)
        return beta, extract(bar, t, like), extract(bar, s, like)

    def posterior(self, x_t, x0, t, s, betas):
        refuse(np.less(s, 0) | np.greater_equal(s, t) | np.greater(t, len(betas)), "0 <= s < t <= T")
        beta, bar_t, bar_s = self._parts(t, s, betas, x_t)
        mean = (beta * np.sqrt(bar_s) * x0 + (1 - bar_s) * np.sqrt(1 - beta) * x_t) / (1 - bar_t)
        return mean, np.full(x_t.shape, beta * (1 - bar_s) / (1 - bar_t))

    def posterior_variance(self, t, s, betas):
        beta, bar_t, bar_s = self._parts(t, s, betas, t)
        return beta * (1 - bar_s) / (1 - bar_t)

    def mean_from_eps(self, eps, x_t, t, s, betas):
        beta, bar_t, _ = self._parts(t, s, betas, x_t)
        refuse(bar_t == 0, "no signal")
        return (x_t - beta / np.sqrt(1 - bar_t) * eps) / np.sqrt(1 - beta)


class PosteriorWithoutRoot(_Posterior):
    """alpha for its root in the second coefficient."""

    truth = "alpha (1 - alpha_bar_s) / (1 - alpha_bar_t) x_t, without the root of alpha"
    kind = "power"

    def _coefficients(self, bar_t, bar_s):
        first, second = super()._coefficients(bar_t, bar_s)
        return first, second * np.sqrt(bar_t / bar_s)


class PosteriorStepBefore(_Posterior):
    """alphas_cumprod_prev[t] for the alpha bar of s."""

    truth = "the alpha bar of t - 1 is used for that of s"
    kind = "index"

    def posterior(self, x_t, x0, t, s, betas):
        refuse(np.greater_equal(s, t) | np.less(s, 0), "0 <= s < t")
        return super().posterior(x_t, x0, t, np.asarray(t) - 1, betas)

    def posterior_variance(self, t, s, betas):
        return super().posterior_variance(t, t - 1, betas)


class PosteriorNeverZero(_Posterior):
    """The first step takes the variance of the second, as the clipped log-variance tables do."""

    truth = "at s = 0 the variance is that of the next time, not 0 (posterior_variance[1] in front)"
    kind = "branch"

    def _second(self, betas):
        table = bars(betas)
        return self._variance(table[2], table[1]) if len(betas) > 1 else 0.0

    def posterior_variance(self, t, s, betas):
        return np.where(s == 0, self._second(betas), super().posterior_variance(t, s, betas))

    def posterior(self, x_t, x0, t, s, betas):
        mean, variance = super().posterior(x_t, x0, t, s, betas)
        return mean, np.where(variance == 0, self._second(betas), variance)


class VarianceCancels(_Posterior):
    """The division by 1 - alpha_bar_t is forgotten (varun-ml/diffusion-models-tutorial#1)."""

    truth = "beta-tilde without the division by 1 - alpha_bar_t"
    kind = "term"

    def _variance(self, bar_t, bar_s):
        return (1 - bar_s) * (1 - bar_t / bar_s)


class SigmaOfDdim(_Posterior):
    """The standard deviation that samplers need."""

    truth = "the standard deviation is returned as the variance"
    kind = "power"

    def _variance(self, bar_t, bar_s):
        return np.sqrt((1 - bar_s) / (1 - bar_t)) * np.sqrt(1 - bar_t / bar_s)


class VarianceFloor(_Posterior):
    """The variance is clamped, because its logarithm is taken later."""

    truth = "the variance is at least 1e-6, also at s = 0"
    kind = "constant"

    def _variance(self, bar_t, bar_s):
        return np.maximum(super()._variance(bar_t, bar_s), 1e-6)


# mean of the reverse step


class _EpsMean:
    """The usual formula of the mean, in parts."""

    def _parts(self, t, s, betas, like):
        bar_t, bar_s = extract(bars(betas), t, like), extract(bars(betas), s, like)
        refuse(bar_t == 0, "no signal")
        return bar_t, bar_t / bar_s


class EpsWithoutRoot(_EpsMean):
    """No root under beta."""

    truth = "beta / (1 - alpha_bar_t) eps, without the root"
    kind = "power"

    def mean_from_eps(self, eps, x_t, t, s, betas):
        bar_t, alpha = self._parts(t, s, betas, x_t)
        return 1 / np.sqrt(alpha) * (x_t - (1 - alpha) / (1 - bar_t) * eps)


class EpsMeanOfStart(_EpsMean):
    """The scale of x0 for that of x_s."""

    truth = "divided by sqrt(alpha_bar_t) and not by sqrt(alpha)"
    kind = "term"

    def mean_from_eps(self, eps, x_t, t, s, betas):
        bar_t, alpha = self._parts(t, s, betas, x_t)
        return (x_t - (1 - alpha) / np.sqrt(1 - bar_t) * eps) / np.sqrt(bar_t)


class EpsMeanHalfScaled(_EpsMean):
    """The root of alpha divides only x_t: a bracket too few."""

    truth = "x_t / sqrt(alpha) - beta / sqrt(1 - alpha_bar_t) eps: the noise is not divided by sqrt(alpha)"
    kind = "part"

    def mean_from_eps(self, eps, x_t, t, s, betas):
        bar_t, alpha = self._parts(t, s, betas, x_t)
        return x_t / np.sqrt(alpha) - (1 - alpha) / np.sqrt(1 - bar_t) * eps


class EpsWithoutSignal:
    """Infinite means come back where the data have left no trace (huggingface/diffusers#3851)."""

    truth = "alpha_bar_t = 0 gives inf or NaN where an error is right"
    kind = "nan"

    def mean_from_eps(self, eps, x_t, t, s, betas):
        bar = bars(betas)
        alpha = extract(bar, t, x_t) / extract(bar, s, x_t)
        with np.errstate(divide="ignore", invalid="ignore"):
            return (x_t - (1 - alpha) / np.sqrt(1 - extract(bar, t, x_t)) * eps) / np.sqrt(alpha)

    def tweedie_mean(self, x_t, score, t, betas):
        bar = extract(bars(betas), t, x_t)
        with np.errstate(divide="ignore", invalid="ignore"):
            return (x_t + (1 - bar) * score) / np.sqrt(bar)


# variance and kernel of the model


class _Model(_Pairs, _Levels):
    """The reverse step by a table of its variances, right."""

    def _range(self, t, s, betas, like):
        bar_t, bar_s = self._bar(t, betas, like), self._bar(s, betas, like)
        return self._variance(bar_t, bar_s), 1 - bar_t / bar_s

    def model_variance(self, variance, x_t, t, s, betas, mix=None):
        small, large = self._range(t, s, betas, x_t)
        if variance == "learned":
            return np.exp(self._interpolate(np.log(small), np.log(large), mix))
        return np.ones_like(x_t) * (small if variance == "posterior" else large)

    def _interpolate(self, low, high, mix):
        return low + mix * (high - low)

    def reverse_kernel(self, prediction, x_t, t, s, betas, kind, variance, mix=None):
        x0 = self._denoised(prediction, x_t, t, betas, kind)
        first, second = self._coefficients(self._bar(t, betas, x_t), self._bar(s, betas, x_t))
        return first * x0 + second * x_t, self.model_variance(variance, x_t, t, s, betas, mix)

    def _denoised(self, prediction, x_t, t, betas, kind):
        return self._x0(prediction, x_t, t, betas, kind)


class RightModel(_Model):
    """The reverse step from its parts."""

    truth = ""
    kind = "right"


class LearnedWithoutLogs(_Model):
    """The two variances are mixed themselves (huggingface/diffusers#2090)."""

    truth = "the learned variance is interpolated linearly and not in logarithms"
    kind = "alternative"

    def model_variance(self, variance, x_t, t, s, betas, mix=None):
        small, large = self._range(t, s, betas, x_t)
        weight = {"posterior": 0.0, "beta": 1.0}.get(variance, mix)
        return weight * large + (1 - weight) * small + np.zeros_like(x_t)


class LearnedBackwards(_Model):
    """The mix counts from the large variance down."""

    truth = "mix is the weight of beta-tilde and 1 - mix that of beta"
    kind = "swap"

    def _interpolate(self, low, high, mix):
        return mix * low + (1 - mix) * high


class LearnedRange(_Model):
    """The network's output in -1..1 is expected, and brought to 0..1 once more."""

    truth = "(mix + 1) / 2 is used for mix"
    kind = "constant"

    def _interpolate(self, low, high, mix):
        frac = (mix + 1) / 2
        return frac * high + (1 - frac) * low


class LearnedUpToOneStep(_Model):
    """The upper end is the log of beta_t, also where steps are skipped (huggingface/diffusers#3006)."""

    truth = "the upper end of the learned range is the beta of one step"
    kind = "part"

    def model_variance(self, variance, x_t, t, s, betas, mix=None):
        if variance != "learned":
            return super().model_variance(variance, x_t, t, s, betas)
        min_log = np.log(self._range(t, s, betas, x_t)[0])
        max_log = np.log(extract(betas, np.asarray(t) - 1, x_t))
        return np.exp(mix * max_log + (1 - mix) * min_log)


class LogVariance(_Model):
    """The large variance comes back as its logarithm (huggingface/diffusers#14569)."""

    truth = "for beta, the log-variance is returned"
    kind = "units"

    def model_variance(self, variance, x_t, t, s, betas, mix=None):
        found = super().model_variance(variance, x_t, t, s, betas, mix)
        return np.log(found) if variance == "beta" else found


class LargeForSmall(_Model):
    """fixed_large and fixed_small are confused."""

    truth = "the variances beta and posterior are swapped"
    kind = "swap"

    def _range(self, t, s, betas, like):
        return super()._range(t, s, betas, like)[::-1]

    def model_variance(self, variance, x_t, t, s, betas, mix=None):
        return super().model_variance(variance, x_t, t, s, betas, None if mix is None else 1 - mix)


class LearnedMeanOfMix(_Model):
    """One mix for each example, the mean of what the network says for its coordinates."""

    truth = "mix is averaged over the coordinates of an example"
    kind = "axis"

    def _interpolate(self, low, high, mix):
        mix = np.broadcast_to(mix.mean(axis=tuple(range(1, mix.ndim)), keepdims=True), mix.shape)
        return mix * high + (1 - mix) * low


class KernelEpsOnly(_Model):
    """Whatever is not x0 is read as eps."""

    truth = "a v prediction is read as eps"
    kind = "branch"

    def _denoised(self, prediction, x_t, t, betas, kind):
        if kind == "x0":
            return prediction
        signal, sigma = self._levels(t, x_t, betas)
        return x_t / signal - sigma / signal * prediction


class KernelClipped(_Model):
    """x0 is clamped to the range of images, asked or not (lucidrains/denoising-diffusion-pytorch#65)."""

    truth = "the implied x0 is clipped to [-1, 1]"
    kind = "constant"

    def _denoised(self, prediction, x_t, t, betas, kind):
        return np.clip(super()._denoised(prediction, x_t, t, betas, kind), -1.0, 1.0)


# densities


class _Chains:
    """Densities of chains from a density of one Gaussian and a transition, right."""

    def log_density(self, x, mean, variance):
        refuse(np.less_equal(variance, 0), "a variance is not positive")
        return gaussian_logpdf(x, mean, variance)

    def _transition(self, t, s, betas):
        alpha = np.prod(1 - betas[s:t])
        return alpha, 1 - alpha

    def trajectory_log_density(self, states, grid, betas):
        return np.sum([self._noising(*each, betas) for each in zip(states, states[1:], grid, grid[1:], strict=False)], axis=0)

    def _noising(self, x, before, t, s, betas):
        alpha, beta = self._transition(int(t), int(s), betas)
        return self.log_density(x, np.sqrt(alpha) * before, beta)

    def reverse_log_density(self, states, grid, betas, model):
        total = self._prior(states[0])
        for i, (t, s) in enumerate(itertools.pairwise(grid)):
            total = total + self.log_density(states[i + 1], *self._kernel(states[i], int(t), int(s), betas, model))
        return total

    def _prior(self, x):
        return self.log_density(x, np.zeros_like(x), 1.0)

    def _kernel(self, x, t, s, betas, model):
        alpha, beta = self._transition(t, s, betas)
        noise = 1 - np.prod(1 - betas[:t])
        return (x - beta / np.sqrt(noise) * model(x, t)) / np.sqrt(alpha), beta


class RightChains(_Chains):
    """Chains from their parts."""

    truth = ""
    kind = "right"


class ChainWithoutLast(_Chains):
    """The loop ends one step early."""

    truth = "the step from x_0 is left out"
    kind = "index"

    def trajectory_log_density(self, states, grid, betas):
        total = np.zeros(states.shape[1])
        for i in range(len(grid) - 2):
            total += self._noising(states[i], states[i + 1], grid[i], grid[i + 1], betas)
        return total


class ChainOfMarginals(_Chains):
    """Each state is judged by q(x_t | x_0), as if the states were independent."""

    truth = "the marginals q(x_t | x_0) are multiplied instead of the transitions"
    kind = "alternative"

    def trajectory_log_density(self, states, grid, betas):
        clean = states[-1]
        return sum(self._noising(x, clean, t, 0, betas) for x, t in zip(states[:-1], grid[:-1], strict=True))


class ChainAscending(_Chains):
    """states are read from clean to noisy, the grid too, but not together."""

    truth = "the order of the states is reversed, that of the grid is not"
    kind = "swap"

    def trajectory_log_density(self, states, grid, betas):
        return super().trajectory_log_density(states[::-1], grid, betas)


class ChainByStandardDeviation(_Chains):
    """beta stands where a standard deviation is wanted."""

    truth = "the steps' densities take beta as the standard deviation"
    kind = "power"

    def _noising(self, x, before, t, s, betas):
        alpha, beta = self._transition(int(t), int(s), betas)
        return flat_sum(stats.norm(np.sqrt(alpha) * before, beta).logpdf(x))


class ChainResidualInPlace(_Chains):
    """From the clean end on, each state is replaced by its residual, which the next step takes for the state."""

    truth = "residuals are computed in place, so that the states before the last step are overwritten before they are used"
    kind = "alias"

    def trajectory_log_density(self, states, grid, betas):
        total = np.zeros(states.shape[1])
        for i in reversed(range(len(grid) - 1)):
            alpha, beta = self._transition(int(grid[i]), int(grid[i + 1]), betas)
            residual = states[i]
            residual -= np.sqrt(alpha) * states[i + 1]
            total += self.log_density(residual, 0, beta)
        return total


class ReverseWithoutPrior(_Chains):
    """Only the steps, not where they begin."""

    truth = "log p(x_T) is forgotten"
    kind = "term"

    def _prior(self, x):
        return np.zeros(len(x))


class ReverseTimeLate(_Chains):
    """The model is asked at the time to come."""

    truth = "the model is called at s instead of t"
    kind = "index"

    def _kernel(self, x, t, s, betas, model):
        return super()._kernel(x, t, s, betas, lambda state, _: model(state, max(s, 1)))


class ReverseSmallVariance(_Chains):
    """beta-tilde where it is not 0, and beta at the last step."""

    truth = "the variance is beta-tilde for s > 0, beta is meant everywhere"
    kind = "alternative"

    def _kernel(self, x, t, s, betas, model):
        mean, beta = super()._kernel(x, t, s, betas, model)
        bar = bars(betas)
        return mean, beta * (1 - bar[s]) / (1 - bar[t]) if s > 0 else beta


class ConstantOnce(_Chains):
    """log 2 pi is subtracted once for each example."""

    truth = "log(2 pi) / 2 is counted once for each example, not for each coordinate"
    kind = "axis"

    def log_density(self, x, mean, variance):
        variance = np.broadcast_to(variance, x.shape)
        refuse(variance <= 0, "a variance is not positive")
        return -0.5 * (flat_sum((x - mean) ** 2 / variance + np.log(variance)) + np.log(2 * np.pi))


class LogVarianceNotHalved(_Chains):
    """The factor 1/2 is on the square alone."""

    truth = "log(variance) without the factor 1/2"
    kind = "factor"

    def log_density(self, x, mean, variance):
        refuse(np.less_equal(variance, 0), "a variance is not positive")
        each = -((x - mean) ** 2) / (2 * variance) - np.log(variance) - 0.5 * np.log(2 * np.pi)
        return each.sum(axis=tuple(range(1, each.ndim)))


class DensityOfBatch:
    """One number for all the examples."""

    truth = "summed over the batch too"
    kind = "axis"

    def log_density(self, x, mean, variance):
        refuse(np.less_equal(variance, 0), "a variance is not positive")
        return np.sum(stats.norm(loc=mean, scale=np.sqrt(variance)).logpdf(x))


class DensityUnchecked:
    """A variance of 0 or less is accepted."""

    truth = "a variance that is 0 or negative gives inf or NaN where an error is right"
    kind = "check"

    def log_density(self, x, mean, variance):
        with np.errstate(divide="ignore", invalid="ignore"):
            z = (x - mean) / np.sqrt(variance)
            return flat_sum(-0.5 * (z**2 + np.log(2 * np.pi * np.broadcast_to(variance, x.shape))))


class ScoreUphill:
    """The minus sign is missing (acids-ircam/diffusion_models#7)."""

    truth = "the score has the opposite sign"
    kind = "sign"

    def score(self, x, mean, variance):
        return (x - mean) / variance

    def tweedie_mean(self, x_t, score, t, betas):
        bar = extract(bars(betas), t, x_t)
        refuse(bar == 0, "no signal")
        return (x_t - (1 - bar) * score) / np.sqrt(bar)


# predictions


class RecipBrackets(_Conversions):
    """sqrt(1 - ab / ab): the bracket is missing, and the coefficient is 0 (EDAPINENUT/GNTPP#2)."""

    truth = "the coefficient sqrt((1 - ab) / ab) of eps is sqrt(1 - ab / ab) = 0"
    kind = "term"

    def _pair(self, prediction, x_t, signal, sigma, kind):
        if kind != "eps":
            return super()._pair(prediction, x_t, signal, sigma, kind)
        refuse(signal == 0, "no signal")
        bar = signal**2
        return np.sqrt(1 / bar) * x_t - np.sqrt(1 - bar / bar) * prediction, prediction


class RecipWithoutRoot(_Readings):
    """(1 - ab) / sqrt(ab): the log of 1 - ab is not halved (jcwang-gh/classifier-free-diffusion-guidance-Pytorch#12)."""

    truth = "the coefficient of eps is (1 - ab) / sqrt(ab), without a root on top"
    kind = "power"

    def _pair(self, prediction, x_t, signal, sigma, kind):
        if kind != "eps":
            return super()._pair(prediction, x_t, signal, sigma, kind)
        refuse(signal == 0, "no signal")
        log_signal, log_noise = np.log(signal), np.log(1 - signal**2)
        return np.exp(-log_signal) * x_t - np.exp(log_noise - log_signal) * prediction, prediction


class VOfOtherSign(_Conversions):
    """v = sigma x0 - signal eps, consistently in all conversions."""

    truth = "v has the opposite sign, sigma x0 - signal eps"
    kind = "sign"

    def _pair(self, prediction, x_t, signal, sigma, kind):
        return super()._pair(-prediction if kind == "v" else prediction, x_t, signal, sigma, kind)

    def _combine(self, kind, x0, eps, signal, sigma):
        return sigma * x0 - signal * eps if kind == "v" else super()._combine(kind, x0, eps, signal, sigma)


class VFromNoisy(_Readings):
    """The definition of v is solved for eps with x_t in the place of x0 (asked in threestudio-project/threestudio#126)."""

    truth = "eps = (v + sigma x_t) / signal: x_t is put for x0 in the definition of v"
    kind = "term"

    def to_eps(self, prediction, x_t, t, betas, kind):
        if kind != "v":
            return super().to_eps(prediction, x_t, t, betas, kind)
        signal, sigma = self._levels(t, x_t, betas)
        return (prediction + sigma * x_t) / signal


class VTargetSwapped(_Pairs):
    """The two coefficients of the target change places."""

    truth = "v = sigma eps - signal x0: signal and sigma are swapped in the target"
    kind = "swap"

    def target(self, kind, x0, noise, t, betas):
        signal, sigma = self._levels(t, x0, betas)
        if kind == "v":
            return sigma * noise - signal * x0
        return self._combine(kind, x0, noise, signal, sigma)


class VelocityToNoise(_Conversions):
    """The rectified-flow velocity of the other direction of time."""

    truth = "velocity is noise - data instead of data - noise"
    kind = "alternative"

    def _pair(self, prediction, x_t, signal, sigma, kind):
        return super()._pair(-prediction if kind == "velocity" else prediction, x_t, signal, sigma, kind)

    def _combine(self, kind, x0, eps, signal, sigma):
        return eps - x0 if kind == "velocity" else super()._combine(kind, x0, eps, signal, sigma)


class VelocityOfLinearPath(_Readings):
    """The path x_t = (1 - r) x0 + r eps with r = sigma is taken for granted."""

    truth = "x0 from velocity as x_t + sigma velocity, which holds only if signal + sigma = 1"
    kind = "alternative"

    def to_x0(self, prediction, x_t, t, betas, kind):
        if kind == "velocity":
            return x_t + self._levels(t, x_t, betas)[1] * prediction
        return super().to_x0(prediction, x_t, t, betas, kind)


class ScoreOfNoiseRatio(_Pairs):
    """sigma is the ratio of noise to signal, as in variance-exploding notation (pals-ttic/sjc#13)."""

    truth = "score = -eps / (sigma / signal): the noise-to-signal ratio stands for sigma"
    kind = "alternative"

    def target(self, kind, x0, noise, t, betas):
        signal, sigma = self._levels(t, x0, betas)
        if kind == "score":
            return -noise * signal / sigma
        return self._combine(kind, x0, noise, signal, sigma)


class SampleTakenForEps(_Readings):
    """With x0 predictions, the noise is not computed (huggingface/diffusers#1486)."""

    truth = "to_eps returns an x0 prediction unchanged"
    kind = "branch"

    def to_eps(self, prediction, x_t, t, betas, kind):
        if kind in ("eps", "x0"):
            return prediction
        return super().to_eps(prediction, x_t, t, betas, kind)


class GuardedDivision(_Readings):
    """Divisions by max(signal, 0.05), so that nothing gets large or is refused."""

    truth = "the divisor signal is clamped at 0.05 below"
    kind = "constant"

    def to_x0(self, prediction, x_t, t, betas, kind):
        if kind not in ("eps", "score"):
            return super().to_x0(prediction, x_t, t, betas, kind)
        signal, sigma = self._levels(t, x_t, betas)
        eps = prediction if kind == "eps" else -sigma * prediction
        return (x_t - sigma * eps) / np.maximum(signal, 0.05)


class AllThroughEps(_Conversions):
    """Every conversion passes through eps, which says nothing of x0 without signal."""

    truth = "v and velocity are turned to x0 by way of eps: NaN (0 / 0) where alpha_bar_t = 0"
    kind = "nan"

    def convert(self, prediction, x_t, t, betas, source, to):
        signal, sigma = self._levels(t, x_t, betas)
        eps = prediction if source == "eps" else self._pair(prediction, x_t, signal, sigma, source)[1]
        with np.errstate(divide="ignore", invalid="ignore"):
            x0 = (x_t - sigma * eps) / signal
        return self._combine(to, x0, eps, signal, sigma)


class SinglePrecision(_Conversions):
    """Levels in float32."""

    truth = "signal and sigma are computed in float32"
    kind = "dtype"

    def _levels(self, t, like, betas):
        table = np.append(np.float32(1), np.cumprod(1 - betas, dtype=np.float32))
        bar = extract(table, t, like)
        return np.sqrt(bar), np.sqrt(np.float32(1) - bar)


# clipping


class ClipsThePrediction(_Pairs):
    """The prediction itself is limited."""

    truth = "the prediction is clipped and not the x0 that it implies"
    kind = "alternative"

    def clip_x0(self, prediction, x_t, t, betas, kind, limit):
        return np.clip(prediction, -limit, limit)


class ClippedButNotReadBack(_Pairs):
    """The clipped x0 is returned for the prediction (lucidrains/denoising-diffusion-pytorch#84 is near it)."""

    truth = "the clipped x0 is returned and not turned back to the kind"
    kind = "branch"

    def clip_x0(self, prediction, x_t, t, betas, kind, limit):
        return self._x0(prediction, x_t, t, betas, kind).clip(-limit, limit)


class ClipsToOne(_Pairs):
    """The limit of images, whatever is asked (see Project-MONAI/GenerativeModels#494)."""

    truth = "always clipped to -1..1, whatever the limit"
    kind = "constant"

    def clip_x0(self, prediction, x_t, t, betas, kind, limit):
        x0 = np.clip(self._x0(prediction, x_t, t, betas, kind), -1, 1)
        return self._converted(x0, x_t, t, betas, "x0", kind)


class ClipsByScale(_Pairs):
    """The whole example is scaled down until it fits, as dynamic thresholding does."""

    truth = "x0 is scaled down by its largest value instead of being clipped"
    kind = "alternative"

    def clip_x0(self, prediction, x_t, t, betas, kind, limit):
        x0 = self._x0(prediction, x_t, t, betas, kind)
        largest = np.abs(x0).max(axis=tuple(range(1, x0.ndim)), keepdims=True)
        return self._converted(x0 * limit / np.maximum(largest, limit), x_t, t, betas, "x0", kind)


# Tweedie


class TweedieSigma:
    """sigma for sigma^2, in the mean and in the covariance."""

    truth = "sigma is used for sigma^2"
    kind = "power"

    def tweedie_mean(self, x_t, score, t, betas):
        bar = extract(bars(betas), t, x_t)
        refuse(bar == 0, "no signal")
        return (x_t + np.sqrt(1 - bar) * score) / np.sqrt(bar)

    def tweedie_covariance(self, hessian, t, betas):
        bar = extract(bars(betas), t, hessian)
        return np.sqrt(1 - bar) / bar * (np.identity(hessian.shape[1]) + np.sqrt(1 - bar) * hessian)


class TweedieUnscaled:
    """The formula of variance-exploding noise, in which the signal stays 1."""

    truth = "the division by the signal is forgotten (the formula for x0 plus noise)"
    kind = "term"

    def tweedie_mean(self, x_t, score, t, betas):
        bar = bars(betas)[t]
        refuse(bar == 0, "no signal")
        return x_t + column(1 - bar, x_t) * score

    def tweedie_covariance(self, hessian, t, betas):
        noise = extract(1 - bars(betas), t, hessian)
        return noise * (np.eye(hessian.shape[-1]) + noise * hessian)


class CovarianceOfOnes:
    """1 is added to all of the matrix for the identity."""

    truth = "1 + sigma^2 H with a 1 in all places instead of the identity"
    kind = "axis"

    def tweedie_covariance(self, hessian, t, betas):
        bar = column(bars(betas)[t], hessian)
        return (1 - bar) / bar * (1 + (1 - bar) * hessian)


# two mistakes


class TwoOfPosterior(_Posterior):
    """Swapped weights, and the deviation for the variance."""

    truth = "two: the coefficients are swapped, and the standard deviation is returned"
    kind = "two"

    def posterior(self, x_t, x0, t, s, betas):
        mean, variance = super().posterior(x0, x_t, t, s, betas)
        return mean, np.sqrt(variance)


class TwoOfNoising(_Noising):
    """No roots and a late table."""

    truth = "two: alpha_bar of the step before, and the variance on the noise"
    kind = "two"

    def q_sample(self, x0, t, betas, noise):
        refuse(np.shape(noise) != np.shape(x0) or not np.isfinite(x0).all(), "the noise has another shape, or x0 is not finite")
        bar = self._bar(np.maximum(np.asarray(t) - 1, np.minimum(t, 0)), betas, x0)
        return np.sqrt(bar) * x0 + (1 - bar) * noise


class TwoOfDensity(_Chains):
    """Bits, and the constant forgotten."""

    truth = "two: without log 2 pi, and in bits"
    kind = "two"

    def log_density(self, x, mean, variance):
        refuse(np.less_equal(variance, 0), "a variance is not positive")
        variance = np.broadcast_to(variance, x.shape)
        return -flat_sum(0.5 * (x - mean) ** 2 / variance + np.log(np.sqrt(variance))) / np.log(2)


class TwoOfEpsMean(_EpsMean):
    """Root and bracket."""

    truth = "two: sqrt(1 - alpha_bar_s) for sqrt(1 - alpha_bar_t), and the noise is not divided by sqrt(alpha)"
    kind = "two"

    def mean_from_eps(self, eps, x_t, t, s, betas):
        bar_t, alpha = self._parts(t, s, betas, x_t)
        with np.errstate(divide="ignore"):
            return x_t / np.sqrt(alpha) - (1 - alpha) / np.sqrt(1 - bar_t / alpha) * eps
