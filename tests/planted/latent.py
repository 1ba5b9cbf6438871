"""Wrong and unusual implementations of the operations of the areas latent, training and optim, each with its mistake in one sentence."""

import math

import numpy as np
from scipy import linalg, stats
from scipy.special import expit, logsumexp, softmax

# marginal likelihoods from samples


class RunningLogAddExp:
    """The log of a mean as a running logaddexp over the samples, last sample first."""

    truth = ""
    kind = "right"

    def marginal_likelihood(self, log_likelihood):
        if len(log_likelihood) == 0 or np.isnan(log_likelihood).any():
            raise ValueError("samples")
        total = np.full(log_likelihood.shape[1], -np.inf)
        for row in log_likelihood[::-1]:
            total = np.logaddexp(total, row)
        return total - math.log(len(log_likelihood))

    def importance_weighted(self, log_joint, log_q):
        if log_joint.shape != log_q.shape:
            raise ValueError("shapes")
        return self.marginal_likelihood(log_joint - log_q)


class _Samples:
    """Both estimates by one method, log_mean, to override."""

    def log_mean(self, values):
        return logsumexp(values, axis=0) - np.log(values.shape[0])

    def marginal_likelihood(self, log_likelihood):
        return self.log_mean(log_likelihood)

    def importance_weighted(self, log_joint, log_q):
        if log_joint.shape != log_q.shape:
            raise ValueError(f"{log_joint.shape} and {log_q.shape}")
        return self.log_mean(log_joint - log_q)


class SamplesSummed(_Samples):
    """A bound by logsumexp alone stood in a draft (YosefLab/scVI-dev#8)."""

    truth = "the log of the sum over the samples, log K is not taken off"
    kind = "term"

    def log_mean(self, values):
        return logsumexp(values, axis=0)


class SamplesMeanOfLogs(_Samples):
    """Asked about as a mean of logs where a log of a mean is due (arahuja/generative-tf#1)."""

    truth = "the mean of the logarithms, not the logarithm of the mean: the ELBO's estimate"
    kind = "swap"

    def log_mean(self, values):
        return values.mean(axis=0)


class SamplesOverflow(_Samples):
    truth = "exp without taking off the largest first: overflows to infinity and underflows to minus infinity"
    kind = "nan"

    def log_mean(self, values):
        with np.errstate(all="ignore"):
            return np.log(np.exp(values).mean(axis=0))


class SamplesWrongAxis(_Samples):
    truth = "the samples are taken to be along the last axis, so the average is over the examples"
    kind = "axis"

    def log_mean(self, values):
        peak = values.max(axis=-1, keepdims=True)
        return peak[..., 0] + np.log(np.exp(values - peak).mean(axis=-1))


class SamplesOfNegative(_Samples):
    """The sign is moved out of a log of a mean, where it cannot go (asked about in tensorflow/probability#189)."""

    truth = "losses -log w are averaged and the sign is put in front: minus the log of the mean of 1 / w"
    kind = "sign"

    def log_mean(self, values):
        losses = -values
        return -(logsumexp(losses, axis=0) - np.log(len(losses)))


class SamplesSelfNormalized(_Samples):
    truth = "the logarithms are averaged with normalized importance weights, as in the gradient of the bound"
    kind = "alternative"

    def log_mean(self, values):
        return np.einsum("kb,kb->b", softmax(values, axis=0), values)


class SamplesSharedPeak(_Samples):
    truth = "one peak for all examples is taken off, and examples far below it underflow to minus infinity"
    kind = "nan"
    found = False

    def log_mean(self, values):
        peak = np.max(values)
        with np.errstate(divide="ignore"):
            return peak + np.log(np.mean(np.exp(values - peak), axis=0))


class SamplesUnbiased(_Samples):
    truth = "the sum of the weights is divided by K - 1, with K for a single sample"
    kind = "constant"

    def log_mean(self, values):
        k = len(values)
        return logsumexp(values, axis=0, b=1 / max(k - 1, 1))


class SamplesWeightsTurned(_Samples):
    truth = "the importance weight is the joint times q: log q is added"
    kind = "sign"

    def importance_weighted(self, log_joint, log_q):
        if log_joint.shape != log_q.shape:
            raise ValueError("shapes")
        return self.log_mean(np.add(log_joint, log_q))


# the linear-Gaussian model


def check_factor(loading, variance, *covariances):
    if not variance > 0:
        raise ValueError("variance")
    for covariance in covariances:
        if not np.allclose(covariance, covariance.T):
            raise ValueError("not symmetric")
        np.linalg.cholesky(covariance)


class FactorBySvd:
    """Everything in the singular basis of the loading, where the model is one of independent pairs."""

    truth = ""
    kind = "right"

    def basis(self, loading):
        u, s, vt = np.linalg.svd(loading, full_matrices=True)
        values = np.zeros(len(u))
        values[: len(s)] = s
        latent = np.zeros(len(vt))
        latent[: len(s)] = s
        return u, values, vt.T, latent

    def latent_log_marginal(self, x, loading, bias, variance):
        check_factor(loading, variance)
        if not np.isfinite(x).all():
            raise ValueError("x")
        u, s, _, _ = self.basis(loading)
        spread = s**2 + variance
        z = (x - bias) @ u
        return -0.5 * (z**2 / spread + np.log(2 * np.pi * spread)).sum(axis=1)

    def latent_posterior(self, x, loading, bias, variance):
        check_factor(loading, variance)
        _, _, v, s = self.basis(loading)
        cov = (v * (variance / (variance + s**2))) @ v.T
        return np.linalg.lstsq(loading.T @ loading + variance * np.eye(len(s)), loading.T @ (x - bias).T, rcond=None)[0].T, cov

    def latent_elbo(self, x, mean, covariance, loading, bias, variance):
        return self.latent_log_marginal(x, loading, bias, variance) - self.latent_gap(x, mean, covariance, loading, bias, variance)

    def latent_gap(self, x, mean, covariance, loading, bias, variance):
        check_factor(loading, variance, covariance)
        means, cov = self.latent_posterior(x, loading, bias, variance)
        lower = np.linalg.cholesky(cov)
        white = linalg.solve_triangular(lower, np.linalg.cholesky(covariance), lower=True)
        shift = linalg.solve_triangular(lower, (mean - means).T, lower=True)
        constant = (white**2).sum() - len(white) - 2 * np.log(np.diag(white)).sum()
        return 0.5 * ((shift**2).sum(axis=0) + constant)


class _Factor:
    """p(z) = N(0, I), p(x | z) = N(loading z + bias, variance I): each quantity of its own, to override."""

    def marginal_covariance(self, loading, variance):
        return loading @ loading.T + variance * np.eye(loading.shape[0])

    def centred(self, x, bias):
        return x - bias

    def posterior_covariance(self, loading, variance):
        return np.linalg.inv(np.eye(loading.shape[1]) + loading.T @ loading / variance)

    def latent_log_marginal(self, x, loading, bias, variance):
        check_factor(loading, variance)
        cov = self.marginal_covariance(loading, variance)
        offset = self.centred(x, bias)
        _, log_det = np.linalg.slogdet(2 * np.pi * cov)
        return -0.5 * (log_det + np.einsum("bi,ij,bj->b", offset, np.linalg.inv(cov), offset))

    def latent_posterior(self, x, loading, bias, variance):
        check_factor(loading, variance)
        cov = self.posterior_covariance(loading, variance)
        return self.centred(x, bias) @ loading @ cov / variance, cov

    def divergence(self, mean, covariance):
        k = mean.shape[1]
        return 0.5 * (np.trace(covariance) + (mean**2).sum(1) - k - np.linalg.slogdet(covariance)[1])

    def spread(self, covariance, loading, variance):
        return np.trace(loading @ covariance @ loading.T) / (2 * variance)

    def latent_elbo(self, x, mean, covariance, loading, bias, variance):
        check_factor(loading, variance, covariance)
        residual = self.centred(x, bias) - mean @ loading.T
        fit = -0.5 * ((residual**2).sum(1) / variance + x.shape[1] * np.log(2 * np.pi * variance))
        return fit - self.spread(covariance, loading, variance) - self.divergence(mean, covariance)


class FactorNoiseEverywhere(_Factor):
    truth = "the noise variance is added to every entry of the covariance, not to its diagonal"
    kind = "axis"

    def marginal_covariance(self, loading, variance):
        return loading @ loading.T + variance


class FactorNoNoise(_Factor):
    """scipy's allow_singular lets a covariance without noise through."""

    truth = "two mistakes: the marginal covariance lacks the noise's variance, and the bias is not taken off"
    kind = "two"

    def latent_log_marginal(self, x, loading, bias, variance):
        check_factor(loading, variance)
        density = stats.multivariate_normal(np.zeros(len(loading)), loading @ loading.T, allow_singular=True)
        return np.atleast_1d(density.logpdf(x))


class FactorLowRankDeterminant(_Factor):
    """By the matrix determinant lemma: det(W W' + v I) = v^(d - k) det(W' W + v I)."""

    truth = "the determinant lemma is used with v^k det(I + W' W / v), the power being the number of latents where it is that of data"
    kind = "swap"

    def latent_log_marginal(self, x, loading, bias, variance):
        check_factor(loading, variance)
        d, k = loading.shape
        inner = np.eye(k) + loading.T @ loading / variance
        y = self.centred(x, bias)
        p = y @ loading / variance
        distance = (y**2).sum(1) / variance - np.einsum("bi,bi->b", p, np.linalg.solve(inner, p.T).T)
        return -0.5 * (d * np.log(2 * np.pi) + np.linalg.slogdet(inner)[1] + k * np.log(variance) + distance)


class FactorUncentred(_Factor):
    truth = "the bias is forgotten, in every operation"
    kind = "term"

    def centred(self, x, bias):
        return np.asarray(x)


class FactorDataMean(_Factor):
    truth = "the data are centred with their own mean over the batch, not with the model's bias"
    kind = "alternative"

    def centred(self, x, bias):
        return x - x.mean(axis=0)


class FactorFlatPrior(_Factor):
    truth = "the prior's identity is missing from the posterior's precision: least squares"
    kind = "term"

    def posterior_covariance(self, loading, variance):
        return variance * np.linalg.pinv(loading.T @ loading)


class FactorUnscaledCovariance(_Factor):
    """M = W' W + v I; the covariance is v inv(M) and the mean inv(M) W' (x - b)."""

    truth = "the covariance is inv(W' W + variance I) without the factor variance; the mean is right"
    kind = "factor"

    def latent_posterior(self, x, loading, bias, variance):
        check_factor(loading, variance)
        m = loading.T @ loading + variance * np.eye(loading.shape[1])
        chol = linalg.cho_factor(m)
        return linalg.cho_solve(chol, loading.T @ (x - bias).T).T, linalg.cho_solve(chol, np.eye(len(m)))


class FactorPrecision(_Factor):
    truth = "the second output is the posterior's precision and not its covariance"
    kind = "swap"

    def latent_posterior(self, x, loading, bias, variance):
        check_factor(loading, variance)
        precision = np.eye(loading.shape[1]) + loading.T @ loading / variance
        return np.linalg.solve(precision, loading.T @ (x - bias).T / variance).T, precision


class BoundAtTheMean(_Factor):
    truth = "the expected log-likelihood is that at q's mean: the trace term of q's covariance is missing"
    kind = "term"

    def spread(self, covariance, loading, variance):
        return 0.0


class BoundConstantTwice(_Factor):
    """A constant of the KL added a second time (reported in PLN-team/PLNmodels#178)."""

    truth = "half the number of latents is added once too often: the KL term holds it already"
    kind = "term"

    def latent_elbo(self, x, mean, covariance, loading, bias, variance):
        return super().latent_elbo(x, mean, covariance, loading, bias, variance) + mean.shape[1] / 2


class BoundMeanOverLatents(_Factor):
    """The KL as a mean over the latents (reported in mkusner/grammarVAE#2 and podgorskiy/VAE#1)."""

    truth = "the divergence from the prior is averaged over the latents where it is summed"
    kind = "units"

    def divergence(self, mean, covariance):
        return super().divergence(mean, covariance) / mean.shape[-1]


class BoundBatchDivergence(_Factor):
    truth = "the divergence from the prior is that of the batch's mean for all examples"
    kind = "axis"

    def divergence(self, mean, covariance):
        return np.full(len(mean), super().divergence(mean, covariance).mean())


class BoundDiagonalEntropy(_Factor):
    truth = "the divergence takes the determinant of q's covariance from its diagonal"
    kind = "part"

    def divergence(self, mean, covariance):
        var = np.diagonal(covariance)
        return -0.5 * np.sum(1 + np.log(var) - mean**2 - var, axis=1)


class GapByDifference:
    """log p(x) less the bound."""

    truth = "the gap is the bound less log p(x), negative"
    kind = "sign"

    def latent_gap(self, x, mean, covariance, loading, bias, variance):
        model = _Factor()
        bound = model.latent_elbo(x, mean, covariance, loading, bias, variance)
        return bound - model.latent_log_marginal(x, loading, bias, variance)


class GapFirstExample:
    truth = "the posterior's mean of the first example serves all"
    kind = "part"

    def latent_gap(self, x, mean, covariance, loading, bias, variance):
        check_factor(loading, variance, covariance)
        means, cov = _Factor().latent_posterior(x[:1], loading, bias, variance)
        inverse = np.linalg.inv(cov)
        rest = np.trace(inverse @ covariance) - len(cov) - np.linalg.slogdet(inverse @ covariance)[1]
        return np.array([(each - means[0]) @ inverse @ (each - means[0]) + rest for each in mean]) / 2


# optimizers


def check_betas(*betas):
    for beta in betas:
        if not 0 <= beta < 1:
            raise ValueError("0 <= beta < 1")


class AdamByWeights:
    """Each step's moments from all gradients so far, by an explicit matrix of weights."""

    truth = ""
    kind = "right"

    def average(self, values, beta):
        k = np.arange(1, len(values) + 1)
        age = k[:, None] - k
        weights = np.where(age >= 0, np.power(float(beta), np.maximum(age, 0)), 0.0)
        return np.tensordot(weights / weights.sum(axis=1, keepdims=True), values, axes=1)

    def directions(self, grads, beta1, beta2, eps):
        check_betas(beta1, beta2)
        return self.average(grads, beta1) / (np.sqrt(self.average(grads**2, beta2)) + eps)

    def adam(self, params, grads, rate, beta1, beta2, eps):
        return params - rate * np.cumsum(self.directions(grads, beta1, beta2, eps), axis=0)

    def adamw(self, params, grads, rate, beta1, beta2, eps, decay):
        states = []
        for step in self.directions(grads, beta1, beta2, eps):
            params = (1 - rate * decay) * params - rate * step
            states.append(params)
        return np.array(states)

    def ema(self, params, decay):
        if not 0 <= decay <= 1:
            raise ValueError("decay")
        k = np.arange(1, len(params) + 1).reshape((-1,) + (1,) * (params.ndim - 1))
        return self.average(params, decay) * (1 - decay**k) if decay < 1 else 0 * params

    def ema_debiased(self, params, decay):
        check_betas(decay)
        return self.average(params, decay)


class _Adam:
    """Adam and AdamW around one update."""

    def start(self, params):
        self.step, self.m, self.v = 0, np.zeros_like(params), np.zeros_like(params)

    def update(self, g, beta1, beta2, eps):
        self.step += 1
        self.m = beta1 * self.m + (1 - beta1) * g
        self.v = beta2 * self.v + (1 - beta2) * g * g
        m_hat = self.m / (1 - beta1**self.step)
        v_hat = self.v / (1 - beta2**self.step)
        return m_hat / (np.sqrt(v_hat) + eps)

    def decayed(self, w, delta, rate, decay):
        return w - rate * (delta + decay * w)

    def adam(self, params, grads, rate, beta1, beta2, eps):
        return self.adamw(params, grads, rate, beta1, beta2, eps, 0.0)

    def adamw(self, params, grads, rate, beta1, beta2, eps, decay):
        check_betas(beta1, beta2)
        self.start(params)
        w, history = params.copy(), []
        for g in grads:
            w = self.decayed(w, self.update(g, beta1, beta2, eps), rate, decay)
            history.append(w)
        return np.stack(history)


class AdamBiased(_Adam):
    truth = "the moments are not debiased"
    kind = "term"

    def update(self, g, beta1, beta2, eps):
        self.m += (1 - beta1) * (g - self.m)
        self.v += (1 - beta2) * (g**2 - self.v)
        return self.m / (np.sqrt(self.v) + eps)


class AdamEpsUnderRoot(_Adam):
    truth = "eps is added under the root"
    kind = "constant"

    def update(self, g, beta1, beta2, eps):
        self.step += 1
        self.m = beta1 * self.m + (1 - beta1) * g
        self.v = beta2 * self.v + (1 - beta2) * np.square(g)
        return self.m / (1 - beta1**self.step) / np.sqrt(self.v / (1 - beta2**self.step) + eps)


class AdamEpsScaled(_Adam):
    """The efficient order of the computation scales eps with the second correction (corrected in aiqm/torchani#261)."""

    truth = "eps is added to the root before debiasing, and so scaled with the correction"
    kind = "alternative"

    def update(self, g, beta1, beta2, eps):
        self.step += 1
        self.m = beta1 * self.m + (1 - beta1) * g
        self.v = beta2 * self.v + (1 - beta2) * g**2
        size = np.sqrt(1 - beta2**self.step) / (1 - beta1**self.step)
        return size * self.m / (np.sqrt(self.v) + eps)


class AdamCountsFromTwo(_Adam):
    truth = "the first step's corrections are those of the second: k + 1 in place of k"
    kind = "index"

    def start(self, params):
        super().start(params)
        self.step = 1


class AdamKeepsDebiased(_Adam):
    truth = "the debiased moments are stored, and corrected again in the next step"
    kind = "alias"

    def update(self, g, beta1, beta2, eps):
        self.step += 1
        self.m = (beta1 * self.m + (1 - beta1) * g) / (1 - beta1**self.step)
        self.v = (beta2 * self.v + (1 - beta2) * g**2) / (1 - beta2**self.step)
        return self.m / (self.v**0.5 + eps)


class AdamSharedHistory:
    truth = "one array is updated in place and appended at each step, so that all rows are the last, and the initial parameters are lost"
    kind = "alias"

    def adam(self, params, grads, rate, beta1, beta2, eps):
        check_betas(beta1, beta2)
        m = v = np.zeros(params.shape)
        rows = []
        for k, g in enumerate(grads, start=1):
            m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
            params -= rate * (m / (1 - beta1**k)) / (np.sqrt(v / (1 - beta2**k)) + eps)
            rows.append(params)
        return np.array(rows)


class AdamMaximum(_Adam):
    truth = "the largest second moment so far is used: AMSGrad"
    kind = "alternative"

    def start(self, params):
        super().start(params)
        self.top = np.zeros_like(params)

    def update(self, g, beta1, beta2, eps):
        self.step += 1
        self.m = beta1 * self.m + (1 - beta1) * g
        self.v = beta2 * self.v + (1 - beta2) * g * g
        self.top = np.maximum(self.top, self.v / (1 - beta2**self.step))
        return self.m / (1 - beta1**self.step) / (np.sqrt(self.top) + eps)


class AdamBetasExchanged(_Adam):
    truth = "beta1 and beta2 are exchanged, in a call by position"
    kind = "swap"

    def update(self, g, beta1, beta2, eps):
        return super().update(g, beta2, beta1, eps)


class AdamOneSecondMoment(_Adam):
    truth = "the second moment is one number for the tensor, the mean of the squared gradient"
    kind = "axis"

    def update(self, g, beta1, beta2, eps):
        self.step += 1
        self.m = beta1 * self.m + (1 - beta1) * g
        self.v = beta2 * self.v + (1 - beta2) * np.mean(g * g)
        return self.m / (1 - beta1**self.step) / (np.sqrt(self.v / (1 - beta2**self.step)) + eps)


class DecayInGradient(_Adam):
    truth = "the decay is added to the gradient and goes through the moments: L2 regularization"
    kind = "alternative"

    def adamw(self, params, grads, rate, beta1, beta2, eps, decay):
        check_betas(beta1, beta2)
        self.start(params)
        out = np.empty_like(grads)
        w = params
        for i, g in enumerate(grads):
            out[i] = w = w - rate * self.update(g + decay * w, beta1, beta2, eps)
        return out


class DecayAfterStep(_Adam):
    """The order of one course's pseudocode (stanford-cs336/assignment1-basics#54)."""

    truth = "the decay is of the parameters that the gradient's step has already moved"
    kind = "index"

    def decayed(self, w, delta, rate, decay):
        w = w - rate * delta
        return w - rate * decay * w


class DecayWithoutRate(_Adam):
    """The paper's own form, without the rate (asked about in egg-west/AdamW-pytorch#1)."""

    truth = "the decay is not multiplied with the rate"
    kind = "factor"

    def decayed(self, w, delta, rate, decay):
        return (1 - decay) * w - rate * delta


class DecayWithoutParameter(_Adam):
    """Reported in e-sensing/torchopt#14."""

    truth = "rate times decay is taken off, without the parameter as a factor"
    kind = "term"

    def decayed(self, w, delta, rate, decay):
        return w - rate * delta - rate * decay


# averages


class AverageFromFirst:
    truth = "the running average starts at the first parameters, not at 0"
    kind = "branch"

    def ema(self, params, decay):
        if not 0 <= decay <= 1:
            raise ValueError("decay")
        shadow, out = params[0], [params[0]]
        for p in params[1:]:
            shadow = shadow - (1 - decay) * (shadow - p)
            out.append(shadow)
        return np.array(out)


class AverageTurned:
    truth = "decay and 1 - decay are exchanged, in the average and in its correction"
    kind = "swap"

    def ema(self, params, decay):
        if not 0 <= decay <= 1:
            raise ValueError("decay")
        avg, out = np.zeros(params.shape[1:]), []
        for p in params:
            avg = (1 - decay) * avg + decay * p
            out.append(avg)
        return np.array(out)

    def ema_debiased(self, params, decay):
        check_betas(decay)
        k = np.arange(1, len(params) + 1)
        with np.errstate(all="ignore"):
            return (self.ema(params, decay).T / (1 - (1 - decay) ** k)).T


class AverageWarmup:
    truth = "the decay is warmed up: min(decay, (1 + k) / (10 + k))"
    kind = "alternative"

    def ema(self, params, decay):
        if not 0 <= decay <= 1:
            raise ValueError("decay")
        average = 0 * params[0]
        rows = []
        for k in range(1, len(params) + 1):
            d = min(decay, (1 + k) / (10 + k))
            average = d * average + (1 - d) * params[k - 1]
            rows.append(average)
        return np.stack(rows)


class AverageDriftingDecay:
    """The warmed-up decay is stored as the decay of the next step (reported in huggingface/diffusers#1864)."""

    truth = "the decay of a step is kept as the next one's base, 1 - min(decay, (1 + k) / (10 + k)), and drifts to 1/2"
    kind = "alias"

    def ema(self, params, decay):
        if not 0 <= decay <= 1:
            raise ValueError("decay")
        self.decay = decay
        average, rows = np.zeros_like(params[0]), []
        for k, p in enumerate(params):
            self.decay = 1 - min(self.decay, (1 + k) / (10 + k))
            average = average + self.decay * (p - average)
            rows.append(average)
        return np.stack(rows)


class AverageLateCorrection:
    truth = "the correction counts from 0: the first average is divided by 0, the others by that of the step before"
    kind = "index"

    def ema_debiased(self, params, decay):
        check_betas(decay)
        average, out = 0.0, []
        with np.errstate(all="ignore"):
            for k, p in enumerate(params):
                average = decay * average + (1 - decay) * p
                out.append(average / (1 - decay**k))
        return np.array(out)


class AverageUnchecked:
    truth = "no check of the decay: 1.5 and -0.5 are averaged with, and 1 gives NaN when debiased"
    kind = "check"

    def ema(self, params, decay):
        out = np.zeros((len(params) + 1, *params.shape[1:]))
        for k, p in enumerate(params):
            out[k + 1] = decay * out[k] + (1 - decay) * p
        return out[1:]

    def ema_debiased(self, params, decay):
        with np.errstate(all="ignore"):
            return np.stack([a / (1 - decay ** (k + 1)) for k, a in enumerate(self.ema(params, decay))])


# clipping


class ClipByHypot:
    """The norm by hypot, and the factor as one less an excess."""

    truth = ""
    kind = "right"

    def clip_by_norm(self, grads_a, grads_b, limit):
        if limit <= 0:
            raise ValueError("limit")
        norm = math.hypot(*grads_a.ravel(), *grads_b.ravel())
        if norm <= limit:
            return grads_a.copy(), grads_b.copy(), norm
        return grads_a / norm * limit, grads_b / norm * limit, norm


class ClipEachTensor:
    truth = "each tensor is clipped by its own norm"
    kind = "part"

    def clip_by_norm(self, grads_a, grads_b, limit):
        if limit <= 0:
            raise ValueError("limit")
        norms = [np.linalg.norm(g) for g in (grads_a, grads_b)]
        a, b = (g * min(1.0, limit / max(n, 1e-300)) for g, n in zip((grads_a, grads_b), norms, strict=True))
        return a, b, np.hypot(*norms)


class ClipWithEps:
    truth = "1e-6 is added to the norm in the factor, and the factor is clamped at 1 afterwards"
    kind = "constant"

    def clip_by_norm(self, grads_a, grads_b, limit):
        if limit <= 0:
            raise ValueError("limit")
        total = np.linalg.norm(np.concatenate([grads_a.ravel(), grads_b.ravel()]))
        coef = np.clip(limit / (total + 1e-6), None, 1.0)
        return grads_a * coef, grads_b * coef, total


class ClipAlways:
    """Reported NaNs at zero gradients: PaddlePaddle/Paddle#26282."""

    truth = "the tensors are always scaled to the limit: small ones grow, and zeros become NaN"
    kind = "branch"

    def clip_by_norm(self, grads_a, grads_b, limit):
        if limit <= 0:
            raise ValueError("limit")
        norm = np.sqrt(sum(np.vdot(g, g) for g in (grads_a, grads_b)))
        with np.errstate(invalid="ignore"):
            return grads_a / norm * limit, grads_b / norm * limit, norm


class ClipSumOfNorms:
    truth = "the norms of the two tensors are added, where their squares are"
    kind = "power"

    def clip_by_norm(self, grads_a, grads_b, limit):
        if limit <= 0:
            raise ValueError("limit")
        norm = sum(float(np.sqrt((g**2).sum())) for g in (grads_a, grads_b))
        scale = limit / norm if norm > limit else 1.0
        return scale * grads_a, scale * grads_b, norm


class ClipValues:
    truth = "each entry is clipped to [-limit, limit]"
    kind = "alternative"

    def clip_by_norm(self, grads_a, grads_b, limit):
        if limit <= 0:
            raise ValueError("limit")
        norm = np.sqrt(np.sum(grads_a**2) + np.sum(grads_b**2))
        return np.clip(grads_a, -limit, limit), np.clip(grads_b, -limit, limit), norm


class ClipReportsAfter:
    truth = "the norm returned is that after clipping"
    kind = "index"

    def clip_by_norm(self, grads_a, grads_b, limit):
        if limit <= 0:
            raise ValueError("limit")
        norm = np.sqrt((grads_a**2).sum() + (grads_b**2).sum())
        factor = min(1.0, limit / norm) if norm > 0 else 1.0
        a, b = grads_a * factor, grads_b * factor
        return a, b, np.sqrt((a**2).sum() + (b**2).sum())


class ClipInPlace:
    truth = "the gradients given are scaled in place"
    kind = "alias"
    found = False

    def clip_by_norm(self, grads_a, grads_b, limit):
        if limit <= 0:
            raise ValueError("limit")
        norm = np.sqrt((grads_a**2).sum() + (grads_b**2).sum())
        if norm > limit:
            for g in (grads_a, grads_b):
                np.multiply(g, limit / norm, out=g)
        return grads_a, grads_b, norm


# learning rates


def check_rate(step, peak, warmup, total, floor):
    if step < 1 or peak <= 0 or warmup < 0 or total <= warmup or not 0 <= floor <= peak:
        raise ValueError("inputs")


class RateByHalfAngle:
    """The cosine as the square of that of half the angle."""

    truth = ""
    kind = "right"

    def learning_rate(self, step, peak, warmup, total, floor):
        check_rate(step, peak, warmup, total, floor)
        if step < warmup:
            return peak * (step / warmup)
        if step >= total:
            return floor
        c = math.cos(math.pi / 2 * (step - warmup) / (total - warmup)) ** 2
        return c * peak + (1 - c) * floor


class _Rate:
    """A multiplier of warm-up and one of cosine decay."""

    def rise(self, step, warmup):
        return step / warmup

    def progress(self, step, warmup, total):
        return min((step - warmup) / (total - warmup), 1.0)

    def shape(self, peak, floor, p):
        return floor + 0.5 * (peak - floor) * (1 + np.cos(np.pi * p))

    def learning_rate(self, step, peak, warmup, total, floor):
        check_rate(step, peak, warmup, total, floor)
        if step <= warmup and warmup:
            return peak * self.rise(step, warmup)
        return self.shape(peak, floor, self.progress(step, warmup, total))


class RateStartsFromZero(_Rate):
    """Steps counted from 0: the first one does not learn (reported in meta-pytorch/torchtune#2010)."""

    truth = "the warm-up is that of a count from 0: (k - 1) / warmup, so that the first rate is 0"
    kind = "index"

    def rise(self, step, warmup):
        return (step - 1) / warmup


class RateDecaysOverTotal(_Rate):
    truth = "the cosine runs over total steps after the warm-up, not over the steps that are left"
    kind = "index"

    def progress(self, step, warmup, total):
        return min((step - warmup) / total, 1.0)


class RateFloorAsMaximum(_Rate):
    truth = "the cosine goes to 0 and is clipped at the floor"
    kind = "alternative"

    def shape(self, peak, floor, p):
        return max(floor, peak / 2 * (1 + math.cos(math.pi * p)))


class RateComesBack(_Rate):
    truth = "after the last step the cosine goes on, and the rate rises again"
    kind = "branch"

    def progress(self, step, warmup, total):
        return (step - warmup) / (total - warmup)


class RateNoWarmupFails:
    truth = "the warm-up's quotient is computed always: division by zero where there is no warm-up"
    kind = "nan"

    def learning_rate(self, step, peak, warmup, total, floor):
        if step < 1 or total <= warmup or peak <= 0 or not 0 <= floor <= peak:
            raise ValueError("inputs")
        rising = peak * step / warmup
        falling = floor + (peak - floor) * (1 + math.cos(math.pi * (min(step, total) - warmup) / (total - warmup))) / 2
        return min(rising, falling) if step > warmup else rising


class RateWholeSteps(_Rate):
    truth = "the progress is an integer division: the peak is kept to the end"
    kind = "dtype"

    def progress(self, step, warmup, total):
        return min((step - warmup) // (total - warmup), 1)


class RateTwoSlips(_Rate):
    truth = "two mistakes: the cosine starts a step late (k - warmup - 1), and the half is missing, so that twice the range is covered"
    kind = "two"

    def progress(self, step, warmup, total):
        return np.clip((step - warmup - 1) / (total - warmup), 0, 1)

    def shape(self, peak, floor, p):
        return floor + (peak - floor) * (1 + np.cos(np.pi * p))


# the network


def swish(z):
    return z * expit(z)


class _Net:
    """Three layers by hand; parts of the passes are methods to override."""

    def features(self, t, width):
        half = width // 2
        frequencies = 10000.0 ** (-np.arange(half) / (half - 1))
        arguments = np.outer(t, frequencies)
        return np.hstack([np.sin(arguments), np.cos(arguments)])

    def embed(self, x, t, w0, table, labels):
        embedded = self.features(np.asarray(t), w0.shape[0] - x.shape[1])
        if table is not None:
            if np.min(labels) < 0 or np.max(labels) >= len(table):
                raise IndexError("label")
            embedded = embedded + table[labels]
        return np.concatenate([x, embedded], axis=-1)

    def act(self, z):
        return swish(z)

    def act_grad(self, z):
        s = expit(z)
        return s + z * s * (1 - s)

    def bias_grad(self, d):
        return d.sum(axis=0)

    def forward(self, h, w0, b0, w1, b1, w2, b2):
        z0 = h @ w0 + b0
        z1 = self.act(z0) @ w1 + b1
        return self.act(z1) @ w2 + b2, (h, z0, z1)

    def backward(self, dy, cache, w0, w1, w2):
        h, z0, z1 = cache
        d1 = dy @ w2.T * self.act_grad(z1)
        d0 = d1 @ w1.T * self.act_grad(z0)
        pairs = (h, d0), (self.act(z0), d1), (self.act(z1), dy)
        grads = [g for a, d in pairs for g in (a.T @ d, self.bias_grad(d))]
        return d0 @ w0.T, grads

    def table_grad(self, labels, table, d):
        out = np.zeros_like(table)
        np.add.at(out, labels, d)
        return out

    def mlp(self, x, t, w0, b0, w1, b1, w2, b2, table=None, labels=None):
        return self.forward(self.embed(x, t, w0, table, labels), w0, b0, w1, b1, w2, b2)[0]

    def mlp_vjp(self, x, t, w0, b0, w1, b1, w2, b2, table, labels, dy):
        _, cache = self.forward(self.embed(x, t, w0, table, labels), w0, b0, w1, b1, w2, b2)
        dh, grads = self.backward(dy, cache, w0, w1, w2)
        split = x.shape[1]
        return (dh[:, :split], *grads, self.table_grad(labels, table, dh[:, split:]))

    def mlp_loss(self, x, t, target, w0, b0, w1, b1, w2, b2, table, labels):
        y = self.mlp(x, t, w0, b0, w1, b1, w2, b2, table, labels)
        out = self.mlp_vjp(x, t, w0, b0, w1, b1, w2, b2, table, labels, 2 * (y - target))
        return (np.sum((y - target) ** 2), *out[1:])


class NetByJacobian(_Net):
    """The backward pass as one einsum for each layer, the derivative of silu from silu itself."""

    truth = ""
    kind = "right"

    def act(self, z):
        return 0.5 * z * (1 + np.tanh(0.5 * z))

    def act_grad(self, z):
        y, s = self.act(z), 0.5 + 0.5 * np.tanh(0.5 * z)
        return y + s * (1 - y)

    def table_grad(self, labels, table, d):
        return np.einsum("bk,bi->ki", np.eye(len(table))[labels], d)


class NetFeaturesInterleaved(_Net):
    truth = "sines and cosines of the time alternate"
    kind = "alternative"

    def features(self, t, width):
        sines, cosines = np.split(super().features(t, width), 2, axis=1)
        return np.stack([sines, cosines], axis=-1).reshape(len(t), width)


class NetFeaturesHalf(_Net):
    truth = "the frequencies divide by half the number of features, not by one less: the lowest is not 1 / 10000"
    kind = "index"

    def features(self, t, width):
        half = width // 2
        omega = np.exp(-math.log(10000) * np.arange(half) / half)
        return np.concatenate([np.sin(t[:, None] * omega), np.cos(t[:, None] * omega)], axis=1)


class NetGate(_Net):
    """0.5 z (1 + tanh(z)) is z sigmoid(2 z)."""

    truth = "silu is written with tanh(z) where tanh(z / 2) is meant; the derivative belongs to that"
    kind = "factor"

    def act(self, z):
        return 0.5 * z * (1 + np.tanh(z))

    def act_grad(self, z):
        u = np.tanh(z)
        return 0.5 * (1 + u) + 0.5 * z * (1 - u**2)


class NetActivatesOutput(_Net):
    truth = "the output passes through silu too, forwards and backwards"
    kind = "branch"

    def forward(self, h, *weights):
        y, cache = super().forward(h, *weights)
        self.last = y
        return swish(y), cache

    def backward(self, dy, cache, w0, w1, w2):
        return super().backward(dy * self.act_grad(self.last), cache, w0, w1, w2)


class NetDerivativeOfOutput(_Net):
    """The derivative is taken at the activation (reported for another library: benoitfragit/libBrain#78)."""

    truth = "the derivative of silu is evaluated at silu's value, not at its argument"
    kind = "backward"

    def act_grad(self, z):
        return super().act_grad(swish(z))


class NetMeanBias(_Net):
    """Reported in kvfrans/notes#5."""

    truth = "the gradient of a bias is the mean over the batch, that of a weight the sum"
    kind = "backward"

    def bias_grad(self, d):
        return np.mean(d, axis=0)


class NetSquareTransposed(_Net):
    truth = "the gradient goes back through the middle weight, which is square, without transposing it"
    kind = "backward"

    def backward(self, dy, cache, w0, w1, w2):
        return super().backward(dy, cache, w0, w1.T, w2)


class NetRepeatedLabels(_Net):
    truth = "the table's gradient is a fancy-indexed +=, in which labels that occur twice count once"
    kind = "backward"

    def table_grad(self, labels, table, d):
        out = np.zeros(table.shape)
        out[labels] += d
        return out


class NetLossMean(_Net):
    truth = "the loss is the mean of the squared errors, its gradient that of the sum"
    kind = "units"

    def mlp_loss(self, x, t, target, w0, b0, w1, b1, w2, b2, table, labels):
        loss, *grads = super().mlp_loss(x, t, target, w0, b0, w1, b1, w2, b2, table, labels)
        return (loss / target.size, *grads)


class NetFirstLabel(_Net):
    truth = "the row of the table of the first label is added to all examples"
    kind = "part"

    def embed(self, x, t, w0, table, labels):
        if labels is None:
            return super().embed(x, t, w0, table, labels)
        super().embed(x, t, w0, table, labels)
        return super().embed(x, t, w0, table, np.full_like(labels, labels[0]))


# training


class _Trainer(_Net):
    """Training as a loop over rows, with the weights in a list."""

    def states(self, kind, x0, t, noise, betas):
        ab = np.concatenate([[1.0], np.cumprod(1 - betas)])[t][..., None]
        a, s = np.sqrt(ab), np.sqrt(1 - ab)
        targets = {"eps": noise, "x0": np.broadcast_to(x0, noise.shape), "v": a * noise - s * x0}
        return a * x0 + s * noise, targets[kind]

    def clock(self, t, steps):
        return 1000.0 * t / steps

    def row(self, k, rows):
        return (k - 1) % rows

    def scale(self, y):
        return 2 / len(y)

    def step_count(self, k, rows):
        return k

    def flatten(self, weights):
        return np.concatenate([w.reshape(-1) for w in weights])

    def gradients(self, h, target, weights):
        y, cache = self.forward(h, *weights)
        return self.backward(self.scale(y) * (y - target), cache, *weights[::2])[1]

    def fit(self, weights, x, clock, target, rate, beta1, beta2, eps, checkpoints):
        weights = [w.copy() for w in weights]
        m, v = [0 * w for w in weights], [0 * w for w in weights]
        kept = []
        for k in range(1, max(checkpoints) + 1):
            i = self.row(k, len(x))
            grads = self.gradients(self.embed(x[i], clock[i], weights[0], None, None), target[i], weights)
            n = self.step_count(k, len(x))
            for j, g in enumerate(grads):
                m[j] = beta1 * m[j] + (1 - beta1) * g
                v[j] = beta2 * v[j] + (1 - beta2) * g**2
                weights[j] = weights[j] - rate * (m[j] / (1 - beta1**n)) / (np.sqrt(v[j] / (1 - beta2**n)) + eps)
            if k in checkpoints:
                kept.append(self.flatten(weights))
        return np.array(kept)

    def train_mlp(self, w0, b0, w1, b1, w2, b2, x0, t, noise, betas, kind, rate, beta1, beta2, eps, checkpoints):
        x, target = self.states(kind, x0, t, noise, betas)
        return self.fit([w0, b0, w1, b1, w2, b2], x, self.clock(t, len(betas)), target, rate, beta1, beta2, eps, checkpoints)

    def flow(self, data, t, noise):
        u = t[..., None]
        return u * data + (1 - u) * noise, data - noise

    def train_mlp_flow(self, w0, b0, w1, b1, w2, b2, data, t, noise, rate, beta1, beta2, eps, checkpoints):
        x, target = self.flow(data, t, noise)
        return self.fit([w0, b0, w1, b1, w2, b2], x, self.clock(t, 1), target, rate, beta1, beta2, eps, checkpoints)


class TrainerOneVector(_Trainer):
    """Adam on one vector of all weights, with the geometric sums of its corrections kept as running weights."""

    truth = ""
    kind = "right"

    def fit(self, weights, x, clock, target, rate, beta1, beta2, eps, checkpoints):
        shapes = [w.shape for w in weights]
        cuts = np.cumsum([w.size for w in weights])[:-1]
        theta = self.flatten(weights)
        m, v, m_mass, v_mass = np.zeros_like(theta), np.zeros_like(theta), 0.0, 0.0
        kept = []
        for k in range(checkpoints[-1]):
            parts = [p.reshape(s) for p, s in zip(np.split(theta, cuts), shapes, strict=True)]
            i = k % len(x)
            g = self.flatten(self.gradients(self.embed(x[i], clock[i], parts[0], None, None), target[i], parts))
            m_mass, v_mass = beta1 * m_mass + 1 - beta1, beta2 * v_mass + 1 - beta2
            m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * np.square(g)
            theta = theta - rate * (m / m_mass) / (np.sqrt(v / v_mass) + eps)
            if k + 1 in checkpoints:
                kept.append(theta)
        return np.array(kept)


class TrainerRawTime(_Trainer):
    truth = "the network is given t as it is, not 1000 t / T: right only for 1000 steps"
    kind = "units"

    def clock(self, t, steps):
        return np.asarray(t, dtype=float)


class TrainerSkipsFirstRow(_Trainer):
    truth = "step k uses row k mod R: the first row comes last"
    kind = "index"

    def row(self, k, rows):
        return k % rows


class TrainerMeanOfEvent(_Trainer):
    truth = "the loss is the mean over the event, too"
    kind = "units"

    def scale(self, y):
        return 2 / y.size


class TrainerForgetsCount(_Trainer):
    truth = "the optimizer's step count starts again with each pass over the rows"
    kind = "index"

    def step_count(self, k, rows):
        return (k - 1) % rows + 1


class TrainerTransposed(_Trainer):
    truth = "weights are written as (out, in), the transposed layout"
    kind = "axis"

    def flatten(self, weights):
        return np.concatenate([w.T.ravel() for w in weights])


class TrainerUpdatesWhileGoingBack(_Trainer):
    """Each layer is updated as soon as its gradient is known."""

    truth = "the last layers are updated before the gradient passes through them, so that earlier gradients use the new weights"
    kind = "backward"

    def fit(self, weights, x, clock, target, rate, beta1, beta2, eps, checkpoints):
        w = [each.copy() for each in weights]
        m, v = [0 * each for each in w], [0 * each for each in w]
        kept = []

        def apply(j, g, k):
            m[j] = beta1 * m[j] + (1 - beta1) * g
            v[j] = beta2 * v[j] + (1 - beta2) * g * g
            w[j] = w[j] - rate * m[j] / (1 - beta1**k) / (np.sqrt(v[j] / (1 - beta2**k)) + eps)

        for k in range(1, checkpoints[-1] + 1):
            i = (k - 1) % len(x)
            y, (h, z0, z1) = self.forward(self.embed(x[i], clock[i], w[0], None, None), *w)
            delta = 2 * (y - target[i]) / len(y)
            for layer, (below, pre) in zip((4, 2, 0), ((swish(z1), z1), (swish(z0), z0), (h, None)), strict=True):
                grads = below.T @ delta, delta.sum(axis=0)
                apply(layer, grads[0], k)
                apply(layer + 1, grads[1], k)
                if pre is not None:
                    delta = delta @ w[layer].T * self.act_grad(pre)
            if k in checkpoints:
                kept.append(self.flatten(w))
        return np.stack(kept)


class TrainerVelocityTurned(_Trainer):
    truth = "the targets v and velocity have the opposite sign: sigma x0 - signal eps, and noise - data"
    kind = "sign"

    def states(self, kind, x0, t, noise, betas):
        x, target = super().states(kind, x0, t, noise, betas)
        return x, -target if kind == "v" else target

    def flow(self, data, t, noise):
        x, target = super().flow(data, t, noise)
        return x, -target


class TrainerDataAtZero(_Trainer):
    truth = "on the flow path t = 0 is taken for the data and t = 1 for the noise, with the velocity noise - data"
    kind = "alternative"

    def flow(self, data, t, noise):
        u = t[..., None]
        return (1 - u) * data + u * noise, noise - data


class TrainerTableOfSingles(_Trainer):
    truth = "alpha_bar is the cumulative product without the leading 1, indexed with t (clipped to the last)"
    kind = "index"

    def states(self, kind, x0, t, noise, betas):
        ab = np.cumprod(1 - betas)[np.minimum(t, len(betas) - 1)][..., None]
        x = ab**0.5 * x0 + (1 - ab) ** 0.5 * noise
        if kind == "v":
            return x, ab**0.5 * noise - (1 - ab) ** 0.5 * x0
        return x, noise if kind == "eps" else noise * 0 + x0


class TrainerSinglePrecision(_Trainer):
    truth = "weights and moments are float32"
    kind = "dtype"

    def fit(self, weights, x, clock, target, rate, beta1, beta2, eps, checkpoints):
        single = [w.astype(np.float32) for w in weights]
        return super().fit(single, x.astype(np.float32), clock, target.astype(np.float32), rate, beta1, beta2, eps, checkpoints)

    def embed(self, x, t, w0, table, labels):
        return super().embed(x, t, w0, table, labels).astype(w0.dtype)


class TrainerSavesBefore(_Trainer):
    truth = "the parameters in a checkpoint are those before that step"
    kind = "index"

    def fit(self, weights, x, clock, target, rate, beta1, beta2, eps, checkpoints):
        earlier = sorted({int(c) - 1 for c in checkpoints if c > 1})
        rows = dict(zip(earlier, super().fit(weights, x, clock, target, rate, beta1, beta2, eps, earlier), strict=True))
        return np.array([rows[c - 1] if c > 1 else self.flatten(weights) for c in map(int, checkpoints)])
