"""Wrong samplers, and some right ones in unusual styles."""

from itertools import pairwise

import numpy as np

BUTCHER = {
    "euler": ([[]], [1.0]),
    "heun": ([[], [1.0]], [0.5, 0.5]),
    "rk4": ([[], [0.5], [0.0, 0.5], [0.0, 0.0, 1.0]], [1 / 6, 1 / 3, 1 / 3, 1 / 6]),
}


def in_order(t, s, betas):
    if not 0 <= s < t <= len(betas):
        raise ValueError(f"times t = {t} and s = {s} with {len(betas)} betas")


def bars(betas):
    return np.concatenate([[1.0], np.cumprod(1.0 - betas)])


def stepwise(model, grid, x, step):
    """All states of a sampler along a grid; step(prediction, x, t, s, number of the step)."""
    path = [x]
    for number, (t, s) in enumerate(pairwise(grid)):
        path.append(step(model(path[-1], t), path[-1], t, s, number))
    return np.array(path)


class Ancestral:
    """A right DDPM sampler in small parts, for classes below to change."""

    def _table(self, betas):
        return np.cumprod(np.append(1.0, 1.0 - betas))

    def _x0(self, output, x, a, kind):
        if kind == "x0":
            return output
        if kind == "v":
            return a**0.5 * x - (1 - a) ** 0.5 * output
        if kind != "eps":
            raise NotImplementedError(kind)
        if a == 0:
            raise ZeroDivisionError("no signal")
        return (x - (1 - a) ** 0.5 * output) / a**0.5

    def _limit(self, x0, clip):
        return x0 if clip is None else np.clip(x0, -clip, clip)

    def _mean(self, x0, x, a, b):
        kept = a / b
        return (b**0.5 * (1 - kept) * x0 + kept**0.5 * (1 - b) * x) / (1 - a)

    def _std(self, a, b, variance, mix):
        large = 1 - a / b
        small = large * (1 - b) / (1 - a)
        if variance == "learned":
            return np.exp(0.5 * (mix * np.log(large) + (1 - mix) * np.log(small)))
        return np.sqrt({"beta": large, "posterior": small}[variance])

    def ddpm_step(self, prediction, x_t, t, s, betas, noise, kind, variance, mix=None, clip=None):
        in_order(t, s, betas)
        table = self._table(betas)
        a, b = table[t], table[s]
        x0 = self._limit(self._x0(prediction, x_t, a, kind), clip)
        mean = self._mean(x0, x_t, a, b)
        return mean if s == 0 else mean + self._std(a, b, variance, mix) * noise

    def ddpm_sample(self, model, grid, x, noise, betas, kind, variance, clip=None):
        return stepwise(model, grid, x, lambda out, x, t, s, i: self.ddpm_step(out, x, t, s, betas, noise[i], kind, variance, None, clip))


class Implicit:
    """A right DDIM sampler in small parts, for classes below to change."""

    def _alphas(self, betas):
        return np.exp(np.append(0.0, np.cumsum(np.log1p(-betas))))

    def _split(self, output, x, alpha, kind):
        root, rest = np.sqrt(alpha), np.sqrt(1 - alpha)
        if kind == "v":
            return root * x - rest * output, rest * x + root * output
        if kind == "x0":
            return output, (x - root * output) / rest
        if kind == "eps":
            if alpha == 0:
                raise ValueError("eps says nothing of the data where no signal is left")
            return (x - rest * output) / root, output
        raise NotImplementedError(kind)

    def _clipped(self, x0, eps, x, alpha, clip):
        if clip is None:
            return x0, eps
        x0 = np.clip(x0, -clip, clip)
        return x0, (x - np.sqrt(alpha) * x0) / np.sqrt(1 - alpha)

    def _sigma(self, eta, now, then):
        return eta * np.sqrt((1 - then) / (1 - now)) * np.sqrt(1 - now / then)

    def _combine(self, x0, eps, noise, sigma, then):
        return np.sqrt(then) * x0 + np.sqrt(1 - then - sigma**2) * eps + sigma * noise

    def ddim_step(self, prediction, x_t, t, s, betas, noise, eta, kind, clip=None):
        in_order(t, s, betas)
        if not 0 <= eta <= 1:
            raise ValueError(f"eta = {eta}")
        alphas = self._alphas(betas)
        x0, eps = self._split(prediction, x_t, alphas[t], kind)
        x0, eps = self._clipped(x0, eps, x_t, alphas[t], clip)
        return self._combine(x0, eps, noise, self._sigma(eta, alphas[t], alphas[s]), alphas[s])

    def ddim_sample(self, model, grid, x, noise, betas, eta, kind, clip=None):
        return stepwise(model, grid, x, lambda out, x, t, s, i: self.ddim_step(out, x, t, s, betas, noise[i], eta, kind, clip))

    def ddim_inversion_step(self, prediction, x_s, s, t, betas, kind):
        in_order(t, s, betas)
        alphas = self._alphas(betas)
        x0, eps = self._split(prediction, x_s, alphas[s], kind)
        return np.sqrt(alphas[t]) * x0 + np.sqrt(1 - alphas[t]) * eps

    def ddim_invert(self, model, grid, x, betas, kind):
        return stepwise(model, grid, x, lambda out, x, s, t, i: self.ddim_inversion_step(out, x, s, t, betas, kind))


class NoiseInTheLastStep(Ancestral):
    """The noise is added whatever the step, also in the one to s = 0."""

    truth = "the last step, to s = 0, adds noise, where only the mean is right"
    kind = "branch"

    def ddpm_step(self, prediction, x_t, t, s, betas, noise, kind, variance, mix=None, clip=None):
        in_order(t, s, betas)
        a, b = self._table(betas)[[t, s]]
        mean = self._mean(self._limit(self._x0(prediction, x_t, a, kind), clip), x_t, a, b)
        return mean + self._std(a, b, variance, mix) * noise


class LastStepIsTimeOne(Ancestral):
    """The mask of the last step looks at t > 1 and not at s > 0, which differs on grids with a stride."""

    truth = "noise is left out where t = 1, not where s = 0: a strided grid's last step gets noise"
    kind = "branch"

    def ddpm_step(self, prediction, x_t, t, s, betas, noise, kind, variance, mix=None, clip=None):
        in_order(t, s, betas)
        a, b = self._table(betas)[[t, s]]
        mean = self._mean(self._limit(self._x0(prediction, x_t, a, kind), clip), x_t, a, b)
        nonzero_mask = float(t > 1)
        return mean + nonzero_mask * self._std(a, b, variance, mix) * noise


class MaskOneStepEarly(Ancestral):
    """A mask taken over from tables that count from 0: `if s > 1`."""

    truth = "no noise in the step to s = 1 either (s > 1 where s > 0 is meant)"
    kind = "index"

    def ddpm_step(self, prediction, x_t, t, s, betas, noise, kind, variance, mix=None, clip=None):
        silent = noise if s > 1 else np.zeros_like(noise)
        return super().ddpm_step(prediction, x_t, t, s, betas, silent, kind, variance, mix, clip)


class BetaOfOneStepOnAStride(Ancestral):
    """huggingface/diffusers#3006: betas[t] is the wrong beta where steps are skipped."""

    truth = "the fixed variances use beta_t of the single step, not the noise of the whole jump from s to t"
    kind = "term"

    def ddpm_step(self, prediction, x_t, t, s, betas, noise, kind, variance, mix=None, clip=None):
        mean = super().ddpm_step(prediction, x_t, t, s, betas, 0 * noise, kind, variance, mix, clip)
        if s == 0:
            return mean
        a, b = self._table(betas)[[t, s]]
        beta = betas[t - 1]
        tilde = (1 - b) / (1 - a) * beta
        chosen = {"beta": beta, "posterior": tilde}.get(variance)
        return mean + (self._std(a, b, variance, mix) if chosen is None else chosen**0.5) * noise


class MaxLogOfOneStep(Ancestral):
    """huggingface/diffusers#3006: the upper end of the learned range is log betas[t], the lower end that of the jump."""

    truth = "the learned variance has log beta_t of a single step as its upper end on strided grids"
    kind = "part"

    def ddpm_step(self, prediction, x_t, t, s, betas, noise, kind, variance, mix=None, clip=None):
        if variance != "learned":
            return super().ddpm_step(prediction, x_t, t, s, betas, noise, kind, variance, mix, clip)
        mean = super().ddpm_step(prediction, x_t, t, s, betas, 0 * noise, kind, variance, mix, clip)
        a, b = self._table(betas)[[t, s]]
        min_log, max_log = np.log((1 - b) / (1 - a) * (1 - a / b)), np.log(betas[t - 1])
        return mean + np.exp(0.5 * (mix * max_log + (1 - mix) * min_log)) * noise


class RootOfALogVariance(Ancestral):
    """huggingface/diffusers#14571: the large variance is returned as its logarithm, and the step takes the square root of that."""

    truth = "the square root of log beta, which is NaN, for the variance beta"
    kind = "nan"

    def _std(self, a, b, variance, mix):
        if variance == "beta":
            return np.sqrt(np.log(1 - a / b))
        return super()._std(a, b, variance, mix)


class LogVarianceWithoutHalf(Ancestral):
    """exp(log variance) multiplies the noise, for all choices of the variance."""

    truth = "the noise is multiplied by the variance, not by its square root"
    kind = "power"

    def _std(self, a, b, variance, mix):
        high = np.log(1 - a / b)
        low = high + np.log(1 - b) - np.log(1 - a)
        weight = {"beta": 1.0, "posterior": 0.0, "learned": mix}[variance]
        return np.exp(low + weight * (high - low))


class LearnedVarianceMixedLinearly(Ancestral):
    """The network's mix interpolates the two variances themselves."""

    truth = "the learned variance is a linear mix of beta and beta-tilde, not a mix of their logarithms"
    kind = "alternative"

    def _std(self, a, b, variance, mix):
        large = 1 - a / b
        small = (1 - b) / (1 - a) * large
        frac = {"beta": 1.0, "posterior": 0.0}.get(variance, mix)
        return np.sqrt(frac * large + (1 - frac) * small)


class MixFromMinusOne(Ancestral):
    """The mix is taken as a network's output in [-1, 1]."""

    truth = "mix is read as a number from -1 to 1, (mix + 1) / 2 is used"
    kind = "alternative"

    def _std(self, a, b, variance, mix):
        return super()._std(a, b, variance, None if mix is None else (mix + 1) / 2)


class LearnedEndsSwapped(Ancestral):
    """mix = 1 gives the small variance."""

    truth = "in the learned variance beta and beta-tilde have each other's weight"
    kind = "swap"

    def _std(self, a, b, variance, mix):
        if variance == "learned":
            logs = np.log([1 - a / b, (1 - a / b) * (1 - b) / (1 - a)])
            return np.exp((1 - mix) / 2 * logs[0] + mix / 2 * logs[1])
        return super()._std(a, b, variance, mix)


class ClipsToOneAlways(Ancestral, Implicit):
    """clip_denoised of an image sampler: on by default, and the limit is always 1."""

    truth = "the implied x0 is clipped to -1..1 always, whatever clip says"
    kind = "constant"

    def _limit(self, x0, clip):
        return x0.clip(-1, 1)

    def _clipped(self, x0, eps, x, alpha, clip):
        return super()._clipped(x0, eps, x, alpha, 1.0)


class ClipsTheNetworkOutput(Ancestral):
    """The limit is put on the prediction and not on the x0 that it implies."""

    truth = "clip limits the network's output instead of the implied x0"
    kind = "swap"

    def ddpm_step(self, prediction, x_t, t, s, betas, noise, kind, variance, mix=None, clip=None):
        bounded = prediction if clip is None else np.clip(prediction, -clip, clip)
        return super().ddpm_step(bounded, x_t, t, s, betas, noise, kind, variance, mix)


class ClipsTheNewState(Ancestral):
    """The state itself is kept within the limits after every step."""

    truth = "clip limits x_s instead of the implied x0"
    kind = "swap"

    def ddpm_step(self, prediction, x_t, t, s, betas, noise, kind, variance, mix=None, clip=None):
        new = super().ddpm_step(prediction, x_t, t, s, betas, noise, kind, variance, mix)
        return new if clip is None else np.maximum(np.minimum(new, clip), -clip)


class ClipsFromAboveOnly(Implicit):
    """A minimum without a maximum."""

    truth = "the implied x0 is limited from above only"
    kind = "part"

    def _clipped(self, x0, eps, x, alpha, clip):
        if clip is not None:
            x0 = np.minimum(x0, clip)
            eps = (x - alpha**0.5 * x0) / (1 - alpha) ** 0.5
        return x0, eps


class DynamicThreshold(Ancestral, Implicit):
    """An image's 99.5th percentile is the limit where it is above clip, and the image is scaled back to clip."""

    truth = "dynamic thresholding, which scales x0 by a quantile of its own, in place of a fixed clip"
    kind = "alternative"

    def _limit(self, x0, clip):
        if clip is None:
            return x0
        flat = np.abs(x0).reshape(len(x0), -1)
        limit = np.maximum(np.quantile(flat, 0.995, axis=1), clip).reshape(-1, *[1] * (x0.ndim - 1))
        return np.clip(x0, -limit, limit) / limit * clip

    def _clipped(self, x0, eps, x, alpha, clip):
        x0 = self._limit(x0, clip)
        return x0, (x - np.sqrt(alpha) * x0) / np.sqrt(1 - alpha)


class TinyFloorOfTheVariance(Ancestral):
    """huggingface/diffusers#3006 clamps the posterior variance at 1e-20; here the clamped one is used at s = 0 too."""

    truth = "the posterior variance has a floor of 1e-20 and the last step adds noise of 1e-10"
    kind = "constant"

    def ddpm_step(self, prediction, x_t, t, s, betas, noise, kind, variance, mix=None, clip=None):
        kept = super().ddpm_step(prediction, x_t, t, s, betas, noise, kind, variance, mix, clip)
        return kept + np.sqrt(1e-20) * noise if s == 0 and variance == "posterior" else kept


class NoRootInTheEpsCoefficient:
    """The mean of algorithm 2 with 1 - alpha_bar where its root is meant."""

    truth = "eps is divided by 1 - alpha_bar_t in the mean, not by its square root"
    kind = "power"

    def ddpm_step(self, prediction, x_t, t, s, betas, noise, kind, variance, mix=None, clip=None):
        if kind != "eps" or clip is not None or variance == "learned":
            raise NotImplementedError
        in_order(t, s, betas)
        keep = np.prod(1 - betas[s:t])
        total, before = 1 - np.prod(1 - betas[:t]), 1 - np.prod(1 - betas[:s])
        if total == 1:
            raise ZeroDivisionError
        mean = (x_t - (1 - keep) / total * prediction) / np.sqrt(keep)
        scale = (1 - keep) * (before / total if variance == "posterior" else 1.0)
        return mean + (s > 0) * np.sqrt(scale) * noise


class PosteriorMeanAtTheWrongTime(Ancestral):
    """sqrt(alpha_bar_t) for sqrt(alpha_bar_{t-1}) before x0."""

    truth = "the weight of x0 in the posterior mean has alpha_bar_t for alpha_bar_s"
    kind = "index"

    def _mean(self, x0, x, a, b):
        c1 = np.sqrt(a) * (1 - a / b) / (1 - a)
        c2 = np.sqrt(a / b) * (1 - b) / (1 - a)
        return c1 * x0 + c2 * x


class PosteriorWeightsSwapped(Ancestral):
    """coef1 belongs to x_t here and coef2 to x0."""

    truth = "the weights of x0 and x_t in the posterior mean are swapped"
    kind = "swap"

    def _mean(self, x0, x, a, b):
        return super()._mean(x, x0, a, b)


class VelocityOfTheOtherSign(Ancestral, Implicit):
    """v = sigma x0 - signal eps in all methods."""

    truth = "v has the other sign"
    kind = "sign"

    def _x0(self, output, x, a, kind):
        return super()._x0(-output if kind == "v" else output, x, a, kind)

    def _split(self, output, x, alpha, kind):
        return super()._split(-output if kind == "v" else output, x, alpha, kind)


class VPredictionSineForCosine(Implicit):
    """The two roots have each other's place in x0 and eps of a v-prediction."""

    truth = "x0 = sigma x - signal v: signal and sigma are swapped where v is read"
    kind = "swap"

    def _split(self, output, x, alpha, kind):
        if kind != "v":
            return super()._split(output, x, alpha, kind)
        angle = np.arctan2(np.sqrt(alpha), np.sqrt(1 - alpha))
        return np.cos(angle) * x - np.sin(angle) * output, np.sin(angle) * x + np.cos(angle) * output


class SampleTakenForNoise(Implicit):
    """huggingface/diffusers#2094: for a model that predicts the sample, pred_epsilon stays the model's output."""

    truth = "with kind x0 the prediction is also used as eps"
    kind = "branch"

    def _split(self, output, x, alpha, kind):
        x0, eps = super()._split(output, x, alpha, kind)
        return x0, output if kind == "x0" else eps


class EtaWithoutSquare(Implicit):
    """The variance is eta times beta-tilde."""

    truth = "var = eta beta-tilde, not eta^2 beta-tilde"
    kind = "power"

    def _sigma(self, eta, now, then):
        return np.sqrt(eta * (1 - then) / (1 - now) * (1 - now / then))


class DirectionKeepsItsLength(Implicit):
    """The noise is added on top of a direction of full length."""

    truth = "the eps term is sqrt(1 - alpha_bar_s): the variance of the noise is not taken off"
    kind = "term"

    def _combine(self, x0, eps, noise, sigma, then):
        return np.sqrt(then) * x0 + np.sqrt(1 - then) * eps + sigma * noise


class DirectionLessStd(Implicit):
    """A standard deviation is taken off under the root."""

    truth = "sqrt(1 - alpha_bar_s - sigma) before eps, with sigma not squared"
    kind = "power"

    def _combine(self, x0, eps, noise, sigma, then):
        return then**0.5 * x0 + np.maximum(1 - then - sigma, 0) ** 0.5 * eps + sigma * noise


class NoiseOfTheCurrentTime(Implicit):
    """jsboige/CoursIA#16158: the noise of a step is eta sqrt(1 - alpha_bar_t), and the rest of the direction is clamped at 0."""

    truth = "sigma^2 = eta^2 (1 - alpha_bar_t) in place of eta^2 beta-tilde, with a clamp that hides the negative rest"
    kind = "alternative"

    def _sigma(self, eta, now, then):
        return eta * np.sqrt(1 - now)

    def _combine(self, x0, eps, noise, sigma, then):
        direction = np.sqrt(np.clip(1 - then - sigma**2, 0, None)) * eps
        return np.sqrt(then) * x0 + direction + sigma * noise


class VarianceOfTheNewMarginal(Implicit):
    """As in the question of sled-group/InfEdit#10: the variance is eta times 1 - alpha_bar_s."""

    truth = "var = eta (1 - alpha_bar_s)"
    kind = "alternative"

    def _sigma(self, eta, now, then):
        return np.sqrt(eta * (1 - then))


class LargeSigmaOfTheAppendix(Implicit):
    """The larger noise level, sqrt(beta_{t|s}), is added, while the direction is that of the smaller one."""

    truth = "the noise added is eta sqrt(beta_{t|s}), the eps term keeps beta-tilde"
    kind = "alternative"

    def ddim_step(self, prediction, x_t, t, s, betas, noise, eta, kind, clip=None):
        quiet = super().ddim_step(prediction, x_t, t, s, betas, 0 * noise, eta, kind, clip)
        alphas = self._alphas(betas)
        return quiet + eta * np.sqrt(1 - alphas[t] / alphas[s]) * noise


class UniformStrideInTheLoop(Implicit):
    """huggingface/diffusers#14357: the previous time is t - T // S whatever the grid says."""

    truth = "the loop steps to t - T // S and not to the grid's next time"
    kind = "index"

    def ddim_sample(self, model, grid, x, noise, betas, eta, kind, clip=None):
        stride = len(betas) // (len(grid) - 1)
        path = [x]
        for i, t in enumerate(grid[:-1]):
            before = max(t - stride, 0)
            path.append(self.ddim_step(model(path[-1], t), path[-1], t, before, betas, noise[i], eta, kind, clip))
        return np.stack(path)


class FinalAlphaIsTheFirst(Implicit):
    """lllyasviel/ControlNet#587: alphas_prev starts with alphas_cumprod[0], which is not quite 1."""

    truth = "alpha_bar at s = 0 is that of t = 1 (set_alpha_to_one = False)"
    kind = "index"

    def ddim_step(self, prediction, x_t, t, s, betas, noise, eta, kind, clip=None):
        in_order(t, s, betas)
        if not 0 <= eta <= 1:
            raise ValueError("eta")
        alphas_cumprod = np.cumprod(1 - betas)
        now, then = alphas_cumprod[t - 1], alphas_cumprod[max(s - 1, 0)]
        x0, eps = self._clipped(*self._split(prediction, x_t, now, kind), x_t, now, clip)
        return self._combine(x0, eps, noise, self._sigma(eta, now, then), then)


class EpsNotReadBackAfterClip(Implicit):
    """lucidrains/denoising-diffusion-pytorch#84: x0 is clipped, eps stays as it was."""

    truth = "eps is not computed again from the clipped x0"
    kind = "term"

    def _clipped(self, x0, eps, x, alpha, clip):
        return (x0 if clip is None else x0.clip(-clip, clip)), eps


class NoisesInOrderOfTime(Ancestral, Implicit):
    """The list of noises is read from its end: as if the first belonged to t = 1."""

    truth = "the noises serve the steps in the reverse order"
    kind = "index"

    def ddpm_sample(self, model, grid, x, noise, betas, kind, variance, clip=None):
        return super().ddpm_sample(model, grid, x, noise[::-1], betas, kind, variance, clip)

    def ddim_sample(self, model, grid, x, noise, betas, eta, kind, clip=None):
        return super().ddim_sample(model, grid, x, noise[::-1], betas, eta, kind, clip)


class OneNoiseForAllSteps(Ancestral):
    """A noise drawn before the loop."""

    truth = "every step uses the first noise"
    kind = "index"

    def ddpm_sample(self, model, grid, x, noise, betas, kind, variance, clip=None):
        states, z = [x], noise[0]
        for j in range(1, len(grid)):
            out = model(states[-1], grid[j - 1])
            states.append(self.ddpm_step(out, states[-1], grid[j - 1], grid[j], betas, z, kind, variance, clip=clip))
        return np.stack(states)


class IndexGivenToTheModel(Implicit):
    """Stability-AI/stablediffusion#226: encode() hands the network the number of the step where a time is meant."""

    truth = "in the inversion the model is called with the step's number, not with its time"
    kind = "index"

    def ddim_invert(self, model, grid, x, betas, kind):
        out = np.empty((len(grid), *x.shape))
        out[0] = x
        for i in range(len(grid) - 1):
            out[i + 1] = self.ddim_inversion_step(model(out[i], i), out[i], grid[i], grid[i + 1], betas, kind)
        return out


class ModelAskedAtTheTarget(Implicit):
    """google/prompt-to-prompt#79: timestep and next_timestep are renamed, and the network sees the later time."""

    truth = "in the inversion the model is called at the time to which the step goes"
    kind = "index"

    def ddim_invert(self, model, grid, x, betas, kind):
        states = [x]
        for s, t in pairwise(grid):
            states.append(self.ddim_inversion_step(model(states[-1], t), states[-1], s, t, betas, kind))
        return np.stack(states)


class LastStateMissing(Implicit):
    """The loop ends one step early, and the list is filled up with the state that it reached."""

    truth = "the last step is not made: the last state is the one before, once more"
    kind = "index"

    def ddim_sample(self, model, grid, x, noise, betas, eta, kind, clip=None):
        made = super().ddim_sample(model, grid, x, noise, betas, eta, kind, clip)
        made[-1] = made[-2]
        return made


class PredictionsInsteadOfStates(Ancestral):
    """The list for the animation collects pred_xstart."""

    truth = "the states returned are the implied x0 of every step, not the states"
    kind = "swap"

    def ddpm_sample(self, model, grid, x, noise, betas, kind, variance, clip=None):
        table, shown = self._table(betas), [x]
        for i in range(len(grid) - 1):
            out = model(x, grid[i])
            shown.append(self._limit(self._x0(out, x, table[grid[i]], kind), clip))
            x = self.ddpm_step(out, x, grid[i], grid[i + 1], betas, noise[i], kind, variance, None, clip)
        return np.stack(shown)


class OneBufferForAllStates(Implicit):
    """The state is updated in place, and the list holds the same array again and again."""

    truth = "all states are one array, overwritten in place, the start too"
    kind = "alias"

    def ddim_sample(self, model, grid, x, noise, betas, eta, kind, clip=None):
        states = [x]
        for i in range(len(grid) - 1):
            x[...] = self.ddim_step(model(x, grid[i]), x, grid[i], grid[i + 1], betas, noise[i], eta, kind, clip)
            states.append(x)
        return np.stack(states)


class InversionBackwards(Implicit):
    """The two alphas of the inversion are taken the wrong way round."""

    truth = "alpha_bar_s and alpha_bar_t are swapped in the inversion step"
    kind = "swap"

    def ddim_inversion_step(self, prediction, x_s, s, t, betas, kind):
        in_order(t, s, betas)
        later, earlier = bars(betas)[[s, t]]
        x0, eps = self._split(prediction, x_s, earlier, kind)
        return np.sqrt(later) * x0 + np.sqrt(1 - later) * eps


class InversionFormulaWithoutFactor:
    """The formula of google/prompt-to-prompt#79 as the report has it: no sqrt(alpha_{t+1}) before the difference of roots."""

    truth = "a factor sqrt(alpha_bar_t) is missing before eps in the inversion"
    kind = "term"

    def ddim_inversion_step(self, prediction, x_s, s, t, betas, kind):
        if kind != "eps":
            raise NotImplementedError
        in_order(t, s, betas)
        a_s, a_t = np.prod(1 - betas[:s]), np.prod(1 - betas[:t])
        return np.sqrt(a_t / a_s) * x_s + (np.sqrt(1 / a_t - 1) - np.sqrt(1 / a_s - 1)) * prediction


class InversionOfEpsOnly(Implicit):
    """The inversion was written for eps and is given v."""

    truth = "the inversion takes every prediction for eps"
    kind = "branch"

    def ddim_inversion_step(self, prediction, x_s, s, t, betas, kind):
        return super().ddim_inversion_step(prediction, x_s, s, t, betas, "eps")


class TableWithoutTheOne(Implicit):
    """A table of cumprod(1 - betas), as from a 0-based scheduler, read at the 1-based times."""

    truth = "alpha_bar[t] is that of t + 1: the 1 in front is missing, and t = T is taken for T - 1"
    kind = "index"

    def _alphas(self, betas):
        return np.append(np.cumprod(1 - betas), np.prod(1 - betas))


class PreviousIsAlwaysOneBefore(Ancestral):
    """alphas_cumprod_prev[t] is used, s only says whether it is the last step."""

    truth = "s is not used: the step always goes to t - 1"
    kind = "index"

    def ddpm_step(self, prediction, x_t, t, s, betas, noise, kind, variance, mix=None, clip=None):
        in_order(t, s, betas)
        acp = np.cumprod(1 - betas)
        acp_prev = np.append(1.0, acp[:-1])
        a, b = acp[t - 1], acp_prev[t - 1]
        x0 = self._limit(self._x0(prediction, x_t, a, kind), clip)
        mean = self._mean(x0, x_t, a, b)
        return mean if s == 0 else mean + np.nan_to_num(self._std(a, b, variance, mix)) * noise


class SinglePrecisionTable(Implicit):
    """The table is kept as float32, as a network's buffer would be."""

    truth = "alpha_bar is a float32 table"
    kind = "dtype"

    def _alphas(self, betas):
        return np.cumprod(np.append(np.float32(1), np.float32(1) - betas.astype(np.float32)), dtype=np.float32)


class ContinuousTimeTable(Implicit, Ancestral):
    """exp(-integral of beta) for the product of 1 - beta."""

    truth = "alpha_bar = exp(-sum of betas), the continuous-time limit, for the product of 1 - beta"
    kind = "alternative"

    def _alphas(self, betas):
        return np.exp(-np.append(0.0, np.cumsum(betas)))

    _table = _alphas


class BetasTurnedRound(Ancestral):
    """The table runs over the betas from the last to the first."""

    truth = "the betas are used in reverse order"
    kind = "index"

    def _table(self, betas):
        return np.append(1.0, (1 - betas[::-1]).cumprod())


class AcceptsAnyTimes(Ancestral, Implicit):
    """No input is looked at; Python's negative indices answer for s = -1."""

    truth = "no check of t and s (s >= t, s < 0) and of eta"
    kind = "check"

    def ddpm_step(self, prediction, x_t, t, s, betas, noise, kind, variance, mix=None, clip=None):
        table = self._table(betas)
        mean = self._mean(self._limit(self._x0(prediction, x_t, table[t], kind), clip), x_t, table[t], table[s])
        return mean if s == 0 else mean + self._std(table[t], table[s], variance, mix) * noise

    def ddim_step(self, prediction, x_t, t, s, betas, noise, eta, kind, clip=None):
        alphas = self._alphas(betas)
        x0, eps = self._clipped(*self._split(prediction, x_t, alphas[t], kind), x_t, alphas[t], clip)
        return self._combine(x0, eps, noise, self._sigma(eta, alphas[t], alphas[s]), alphas[s])


class SignalNeverQuiteZero(Ancestral, Implicit):
    """alpha_bar has a floor, so that eps gives a finite x0 at a zero terminal SNR."""

    truth = "alpha_bar_t = 0 is replaced by 1e-12, where eps should give an error"
    kind = "check"

    def _table(self, betas):
        return np.maximum(bars(betas), 1e-12)

    _alphas = _table


class StepOfAbsoluteLength:
    """The length of a step is |s - t|."""

    truth = "the step has the length |s - t|: backwards in time it goes the wrong way"
    kind = "sign"

    def euler_step(self, f, x, t, s):
        return x + abs(s - t) * f(x, t)

    def ode_sample(self, f, method, times, x):
        if method != "euler":
            raise NotImplementedError
        states = [x]
        for t, s in pairwise(times):
            states.append(self.euler_step(f, states[-1], t, s))
        return np.stack(states)


class SlopeAtTheNewTime:
    """The field is asked at the time to which the step goes."""

    truth = "Euler's slope is taken at the time s, not t"
    kind = "index"

    def euler_step(self, f, x, t, s):
        dt = s - t
        return x + dt * f(x, t + dt)


class SecondSlopeAtTheOldTime:
    """As in huggingface/diffusers#1512, where the second-order step used the noise level of the first."""

    truth = "Heun's second slope is taken at the time t, not s"
    kind = "index"

    def heun_step(self, f, x, t, s):
        d = f(x, t)
        d_2 = f(x + d * (s - t), t)
        return x + (d + d_2) * (0.5 * (s - t))


class SecondSlopeAtTheOldState:
    """The predictor is computed and not used."""

    truth = "Heun's second slope is taken at x, not at the Euler step's end"
    kind = "part"

    def heun_step(self, f, x, t, s):
        return x + (s - t) * np.mean([f(x, t), f(x, s)], axis=0)


class HeunEndsWithEuler:
    """The EDM sampler's rule `if t_next != 0`, which needs no correction at the end; times to and from 0 look the same here."""

    truth = "Heun's step to s = 0 or s = 1 is an Euler step"
    kind = "branch"

    def heun_step(self, f, x, t, s):
        d_cur = f(x, t)
        x_next = x + (s - t) * d_cur
        if s not in (0, 1):
            d_prime = f(x_next, s)
            x_next = x + (s - t) * (0.5 * d_cur + 0.5 * d_prime)
        return x_next

    def ode_sample(self, f, method, times, x):
        if method != "heun":
            raise NotImplementedError
        states = [x]
        for i in range(1, len(times)):
            states.append(self.heun_step(f, states[-1], times[i - 1], times[i]))
        return np.stack(states)


class MidpointForHeun:
    """Another method of order 2."""

    truth = "the midpoint method under the name of Heun"
    kind = "alternative"

    def heun_step(self, f, x, t, s):
        half = x + (s - t) / 2 * f(x, t)
        return x + (s - t) * f(half, (t + s) / 2)


class PredictorKeptInRange:
    """the-virtual-brain/tvb-root#781: the predictor is clamped before the second slope."""

    truth = "Heun's Euler point is clipped to -0.5..0.5 before the second slope"
    kind = "constant"

    def heun_step(self, f, x, t, s):
        dt = s - t
        k1 = f(x, t)
        inter = np.clip(x + dt * k1, -0.5, 0.5)
        return x + dt * (k1 + f(inter, s)) / 2


class RungeKuttaThreeEighths:
    """Kutta's other method of order 4."""

    truth = "the 3/8 rule of Kutta in place of the classical Runge-Kutta step"
    kind = "alternative"

    def rk4_step(self, f, x, t, s):
        h = s - t
        k1 = f(x, t)
        k2 = f(x + h * k1 / 3, t + h / 3)
        k3 = f(x + h * (k2 - k1 / 3), t + 2 * h / 3)
        k4 = f(x + h * (k1 - k2 + k3), s)
        return x + h * (k1 + 3 * k2 + 3 * k3 + k4) / 8


class RungeKuttaClockStandsStill:
    """The times of the inner stages are those of the start; only the last stage moves."""

    truth = "the middle stages of rk4 are evaluated at the time t, not in the middle"
    kind = "index"

    def rk4_step(self, f, x, t, s):
        h, ks = s - t, [f(x, t)]
        for c in (0.5, 0.5, 1.0):
            ks.append(f(x + c * h * ks[-1], s if c == 1.0 else t))
        return x + h / 6 * np.tensordot([1, 2, 2, 1], ks, axes=1)


class RungeKuttaThirdStageFromFirst:
    """k3 is built on k1, so that it equals k2."""

    truth = "the third stage of rk4 starts from k1 in place of k2"
    kind = "swap"

    def rk4_step(self, f, x, t, s):
        h = s - t
        k1 = f(x, t)
        k2 = f(x + 0.5 * h * k1, t + 0.5 * h)
        k3 = f(x + 0.5 * h * k1, t + 0.5 * h)
        k4 = f(x + h * k3, s)
        return x + (k1 + k4) * h / 6 + (k2 + k3) * h / 3


class RungeKuttaWeightsOutsideIn:
    """The ends count twice."""

    truth = "the weights of the stages are 2, 1, 1, 2 over 6 in place of 1, 2, 2, 1"
    kind = "swap"

    def rk4_step(self, f, x, t, s):
        dt, mid = s - t, 0.5 * (s + t)
        a = f(x, t)
        b = f(x + dt / 2 * a, mid)
        c = f(x + dt / 2 * b, mid)
        return x + dt / 6 * (2 * a + b + c + 2 * f(x + dt * c, s))

    def ode_sample(self, f, method, times, x):
        if method != "rk4":
            raise NotImplementedError
        path = [x]
        for k in range(len(times) - 1):
            path.append(self.rk4_step(f, path[-1], times[k], times[k + 1]))
        return np.stack(path)


class FirstStepForAll:
    """dt is computed once, before the loop."""

    truth = "every step has the length of the first"
    kind = "index"

    def ode_sample(self, f, method, times, x):
        dt, states = times[1] - times[0], [x]
        for t in times[:-1]:
            y = states[-1]
            k1 = f(y, t)
            if method == "euler":
                states.append(y + dt * k1)
            elif method == "heun":
                states.append(y + dt / 2 * (k1 + f(y + dt * k1, t + dt)))
            else:
                k2 = f(y + dt / 2 * k1, t + dt / 2)
                k3 = f(y + dt / 2 * k2, t + dt / 2)
                states.append(y + dt / 6 * (k1 + 2 * k2 + 2 * k3 + f(y + dt * k3, t + dt)))
        return np.stack(states)


class OneOverTheNumberOfTimes:
    """As in lucidrains/rectified-flow-pytorch#14: delta is 1 / steps where the times of a linspace are 1 / (steps - 1) apart."""

    truth = "the step is 1 / len(times), one too many, with the sign of the first"
    kind = "index"

    def ode_sample(self, f, method, times, x):
        if method != "euler":
            raise NotImplementedError
        delta = np.sign(times[1] - times[0]) / len(times)
        out = [x]
        for t in times[:-1]:
            out.append(out[-1] + delta * f(out[-1], t))
        return np.stack(out)


class EverythingIsEuler:
    """An option that is compared with a name that nobody gives."""

    truth = "heun and rk4 are run as euler"
    kind = "branch"

    def ode_sample(self, f, method, times, x):
        trajectory = np.empty((len(times), *x.shape))
        trajectory[0] = x
        for i, h in enumerate(np.diff(times)):
            slope = f(trajectory[i], times[i])
            if method == "midpoint":
                slope = f(trajectory[i] + h / 2 * slope, times[i] + h / 2)
            trajectory[i + 1] = trajectory[i] + h * slope
        return trajectory


class AdamsBashforthForHeun:
    """A method of order 2 that remembers the slope before."""

    truth = "heun is a two-step Adams-Bashforth method, which starts with Euler"
    kind = "alternative"

    def ode_sample(self, f, method, times, x):
        if method != "heun":
            raise NotImplementedError
        states, last = [x], None
        for i, h in enumerate(np.diff(times)):
            slope = f(states[-1], times[i])
            before = slope if last is None else last
            states.append(states[-1] + h * (1.5 * slope - 0.5 * before))
            last = slope
        return np.stack(states)


def great_circle(angle, a, b, weight):
    return (np.sin((1 - weight) * angle) * a + np.sin(weight * angle) * b) / np.sin(angle)


def cosines(a, b):
    """Of the angles between the examples, shaped to broadcast to them."""
    flat_a, flat_b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    found = np.einsum("bi,bi->b", flat_a, flat_b) / (np.linalg.norm(flat_a, axis=1) * np.linalg.norm(flat_b, axis=1))
    if np.any(found < -1 + 1e-12):
        raise ValueError("opposite")
    return np.clip(found, -1, 1).reshape(-1, *[1] * (a.ndim - 1))


class SlerpOfTheWholeBatch:
    """One angle, of all numbers of the batch as one vector."""

    truth = "one angle for the whole batch instead of one for every example"
    kind = "axis"

    def slerp(self, a, b, weight):
        dot = np.sum(a / np.linalg.norm(a) * (b / np.linalg.norm(b)))
        if dot < -1 + 1e-12:
            raise ValueError("opposite")
        return great_circle(np.arccos(dot), a, b, weight)


class SlerpOfPixels:
    """As Comfy-Org/ComfyUI#14897, where the norm of a latent is taken over its channels only."""

    truth = "the angle is taken along the first axis after the batch only, not over the whole example"
    kind = "axis"

    def slerp(self, a, b, weight):
        unit_a, unit_b = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (a, b))
        dot = (unit_a * unit_b).sum(axis=1, keepdims=True)
        if np.any(dot < -1 + 1e-12):
            raise ValueError("opposite")
        return great_circle(np.arccos(dot), a, b, weight)


class SlerpOfUnitVectors:
    """The normalized vectors are interpolated."""

    truth = "the answer has length 1: the normalized a and b are mixed"
    kind = "swap"

    def slerp(self, a, b, weight):
        omega = np.arccos(cosines(a, b))
        lengths = [np.sqrt(np.sum(v**2, axis=tuple(range(1, v.ndim)), keepdims=True)) for v in (a, b)]
        return great_circle(omega, a / lengths[0], b / lengths[1], weight)


class SlerpFallsBackToAReversedLerp:
    """AUTOMATIC1111/stable-diffusion-webui#3068: where the vectors are nearly parallel, the linear mix has its weights reversed."""

    truth = "nearly parallel batches (mean cosine above 0.9995) are mixed linearly with the weights of a and b swapped"
    kind = "branch"
    found = False

    def slerp(self, a, b, weight):
        dot = cosines(a, b)
        if dot.mean() > 0.9995:
            return a * weight + b * (1 - weight)
        return great_circle(np.arccos(dot), a, b, weight)


class SlerpOfUnnormalizedDot:
    """The dot product is clipped into the range of arccos, not divided by the lengths."""

    truth = "the lengths are missing in the cosine, which is clipped to -1..1"
    kind = "term"

    def slerp(self, a, b, weight):
        cosines(a, b)
        dot = np.clip(np.sum(a * b, axis=tuple(range(1, a.ndim)), keepdims=True), -0.999, 0.999)
        return great_circle(np.arccos(dot), a, b, weight)


class SlerpOfOppositesIsInfinite:
    """sin(pi) is 1e-16 and not 0: the answer is huge and finite."""

    truth = "opposite vectors give an answer instead of an error"
    kind = "check"

    def slerp(self, a, b, weight):
        axes = tuple(range(1, a.ndim))
        cos = (a * b).sum(axes) / np.sqrt((a * a).sum(axes) * (b * b).sum(axes))
        u = np.arccos(np.clip(cos, -1, 1)).reshape(-1, *[1] * (a.ndim - 1))
        return np.sin((1 - weight) * u) / np.sin(u) * a + np.sin(weight * u) / np.sin(u) * b


class MixOfRoots:
    """The weights of independent noises, for a noise that is the same."""

    truth = "the weights are sqrt(1 - w) and sqrt(w)"
    kind = "power"

    def shared_noise_interpolation(self, x0_a, x0_b, weight, t, betas, noise):
        ab = bars(betas)[t]
        noised = [np.sqrt(ab) * x + np.sqrt(1 - ab) * noise for x in (x0_a, x0_b)]
        return np.sqrt(1 - weight) * noised[0] + np.sqrt(weight) * noised[1]


class NoiseOfTheMixShrinks:
    """The noise gets the length that the mean of two independent noises would have."""

    truth = "the noise is multiplied by sqrt((1 - w)^2 + w^2), as if it were two"
    kind = "power"

    def shared_noise_interpolation(self, x0_a, x0_b, weight, t, betas, noise):
        kept = np.prod(1 - betas[:t])
        together = x0_a + weight * (x0_b - x0_a)
        return kept**0.5 * together + (1 - kept) ** 0.5 * np.hypot(weight, 1 - weight) * noise


class MixOnTheGreatCircle:
    """Both noised points are interpolated by slerp."""

    truth = "slerp of the two noised points for their linear mix"
    kind = "alternative"

    def shared_noise_interpolation(self, x0_a, x0_b, weight, t, betas, noise):
        ab = bars(betas)[t]
        a, b = (np.sqrt(ab) * x + np.sqrt(1 - ab) * noise for x in (x0_a, x0_b))
        return great_circle(np.arccos(cosines(a, b)), a, b, weight)


class MixOneStepTooNoisy:
    """cumprod(1 - betas)[t] is alpha_bar of t + 1, and the two points change places."""

    truth = "alpha_bar of t + 1 is used, and the weights of the two points are swapped"
    kind = "two"

    def shared_noise_interpolation(self, x0_a, x0_b, weight, t, betas, noise):
        abar = np.cumprod(1 - betas)[t]
        return np.sqrt(abar) * (weight * x0_a + (1 - weight) * x0_b) + np.sqrt(1 - abar) * noise


class OneNoiseForTheBatch(Ancestral, Implicit):
    """The noise is drawn with a batch of 1 and broadcast."""

    truth = "all examples get the noise of the first"
    kind = "part"

    def ddpm_step(self, prediction, x_t, t, s, betas, noise, kind, variance, mix=None, clip=None):
        return super().ddpm_step(prediction, x_t, t, s, betas, noise[:1], kind, variance, mix, clip)

    def ddim_step(self, prediction, x_t, t, s, betas, noise, eta, kind, clip=None):
        return super().ddim_step(prediction, x_t, t, s, betas, noise[:1], eta, kind, clip)


class OneMixForAnExample(Ancestral):
    """The mix is averaged to one number for every example."""

    truth = "the learned variance uses the mean of mix over the example"
    kind = "axis"

    def _std(self, a, b, variance, mix):
        if mix is not None:
            mix = np.mean(mix, axis=tuple(range(1, mix.ndim)), keepdims=True)
        return super()._std(a, b, variance, mix)


class NoiseDividedByItsDeviation(Implicit):
    """The noise is standardized over the batch before it is used."""

    truth = "the noise is made to have mean 0 and deviation 1 over all its numbers"
    kind = "axis"

    def _combine(self, x0, eps, noise, sigma, then):
        whitened = (noise - noise.mean()) / (noise.std() + 1e-8)
        return super()._combine(x0, eps, whitened, sigma, then)


class RungeKuttaMiddleInIntegers:
    """// where / is meant, from a sampler whose times were whole numbers."""

    truth = "the middle of the step is (t + s) // 2"
    kind = "dtype"

    def rk4_step(self, f, x, t, s):
        h, middle = s - t, (t + s) // 2
        k1 = f(x, t)
        k2 = f(x + h * k1 / 2, middle)
        k3 = f(x + h * k2 / 2, middle)
        return x + h * (k1 + 2 * (k2 + k3) + f(x + h * k3, s)) / 6


class EulerInPlace:
    """The answers of the step are right; the caller's array is changed with them."""

    truth = "x is overwritten in place: all states of the sampler are the last one"
    kind = "alias"

    def euler_step(self, f, x, t, s):
        x += (s - t) * f(x, t)
        return x

    def ode_sample(self, f, method, times, x):
        if method != "euler":
            raise NotImplementedError
        states = [x]
        for t, s in pairwise(times):
            states.append(self.euler_step(f, states[-1], t, s))
        return np.stack(states)


class WholeEtaAndUncorrectedClip(Implicit):
    """Two mistakes: eta is not squared in the variance, and eps is not read back after clipping."""

    truth = "var = eta beta-tilde, and eps is not computed again from the clipped x0"
    kind = "two"

    def _sigma(self, eta, now, then):
        return np.sqrt(eta * (1 - then) * (1 - now / then) / (1 - now))

    def _clipped(self, x0, eps, x, alpha, clip):
        return (x0, eps) if clip is None else (np.clip(x0, -clip, clip), eps)


class FloatTableAndLastNoise(Ancestral):
    """Two mistakes: a float32 table, and noise in the last step."""

    truth = "alpha_bar is a float32 table, and the step to s = 0 adds noise"
    kind = "two"

    def _table(self, betas):
        return np.cumprod(np.append(1.0, 1.0 - betas).astype("float32"))

    def ddpm_step(self, prediction, x_t, t, s, betas, noise, kind, variance, mix=None, clip=None):
        in_order(t, s, betas)
        a, b = self._table(betas)[[t, s]]
        mean = self._mean(self._limit(self._x0(prediction, x_t, a, kind), clip), x_t, a, b)
        return mean + self._std(a, b, variance, mix) * noise


class RightInSmallParts(Ancestral, Implicit):
    """The two samplers from which others in this file are derived, as they are."""

    truth = ""
    kind = "right"


class RightByNoiseToSignal:
    """Right: states scaled to x / signal, DDIM as an Euler step in sigma = sqrt(1 / alpha_bar - 1)."""

    truth = ""
    kind = "right"

    def ddim_inversion_step(self, prediction, x_s, s, t, betas, kind):
        in_order(t, s, betas)
        log_bar = np.append(0.0, np.cumsum(np.log1p(-betas)))
        sigma = np.sqrt(np.expm1(-log_bar[[s, t]]))
        scaled = x_s * np.exp(-log_bar[s] / 2)
        scale = np.sqrt(1 + sigma[0] ** 2)
        slope = prediction if kind == "eps" else (sigma[0] * x_s + prediction) / scale
        return (scaled + (sigma[1] - sigma[0]) * slope) / np.sqrt(1 + sigma[1] ** 2)

    def ddim_invert(self, model, grid, x, betas, kind):
        return stepwise(model, grid, x, lambda out, x, s, t, i: self.ddim_inversion_step(out, x, s, t, betas, kind))


class RightByPrecisions:
    """Right: the posterior as the product of two Gaussians, weighted by their precisions."""

    truth = ""
    kind = "right"

    def ddpm_step(self, prediction, x_t, t, s, betas, noise, kind, variance, mix=None, clip=None):
        in_order(t, s, betas)
        ab_t, ab_s, keep = np.prod(1 - betas[:t]), np.prod(1 - betas[:s]), np.prod(1 - betas[s:t])
        if kind == "eps" and ab_t == 0:
            raise ZeroDivisionError
        angle = np.arccos(np.sqrt(ab_t))
        x0 = {
            "x0": lambda: prediction,
            "eps": lambda: (x_t - np.sin(angle) * prediction) / np.sqrt(ab_t),
            "v": lambda: np.sqrt(ab_t) * x_t - np.sqrt(1 - ab_t) * prediction,
        }[kind]()
        if clip is not None:
            x0 = np.median([x0, np.full_like(x0, -clip), np.full_like(x0, clip)], axis=0)
        if s == 0:
            return x0
        from_prior, from_state = 1 / (1 - ab_s), keep / (1 - keep)
        precision = from_prior + from_state
        mean = (from_prior * np.sqrt(ab_s) * x0 + np.sqrt(keep) / (1 - keep) * x_t) / precision
        weight = {"posterior": 0.0, "beta": 1.0}.get(variance, mix)
        return mean + precision ** (-(1 - weight) / 2) * (1 - keep) ** (weight / 2) * noise


class RightByButcherTable:
    """Right: all three methods from their Butcher tables."""

    truth = ""
    kind = "right"

    def _step(self, name, f, x, t, s):
        rows, weights = BUTCHER[name]
        slopes = []
        for row in rows:
            moved = sum((c * k for c, k in zip(row, slopes, strict=True)), 0 * x)
            slopes.append(f(x + (s - t) * moved, t + sum(row) * (s - t)))
        return x + (s - t) * sum(w * k for w, k in zip(weights, slopes, strict=True))

    def euler_step(self, f, x, t, s):
        return self._step("euler", f, x, t, s)

    def heun_step(self, f, x, t, s):
        return self._step("heun", f, x, t, s)

    def rk4_step(self, f, x, t, s):
        return self._step("rk4", f, x, t, s)

    def ode_sample(self, f, method, times, x):
        out = x[None]
        for t, s in pairwise(times):
            out = np.append(out, self._step(method, f, out[-1], t, s)[None], axis=0)
        return out


class RightByOrthonormalPair:
    """Right: slerp in the plane of a and what of b is orthogonal to it, and the mix of data before the noise."""

    truth = ""
    kind = "right"

    def slerp(self, a, b, weight):
        out = np.empty_like(a)
        for i, (p, q) in enumerate(zip(a, b, strict=True)):
            norm_p, norm_q = np.linalg.norm(p), np.linalg.norm(q)
            e1 = p / norm_p
            rest = q / norm_q - np.vdot(e1, q / norm_q) * e1
            sine = np.linalg.norm(rest)
            if sine < 1e-12:
                raise ValueError("no plane")
            theta = np.arctan2(sine, np.vdot(e1, q) / norm_q)
            out[i] = (np.sin((1 - weight) * theta) * p + np.sin(weight * theta) * q) / sine
        return out

    def shared_noise_interpolation(self, x0_a, x0_b, weight, t, betas, noise):
        log_bar = np.log1p(-betas[:t]).sum()
        return np.exp(log_bar / 2) * (x0_a + weight * (x0_b - x0_a)) + np.sqrt(-np.expm1(log_bar)) * noise
