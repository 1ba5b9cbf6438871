"""Implementations of noise schedules and time grids with a planted mistake each, and right ones in unusual styles."""

import math
from fractions import Fraction

import numpy as np
from scipy import special, stats


def probabilities(betas):
    if np.any(np.less(betas, 0) | np.greater(betas, 1)):
        raise ValueError("a beta is not between 0 and 1")
    return np.asarray(betas, dtype=float)


def several(betas):
    if len(betas) < 2:
        raise ValueError("one beta cannot stay and become 1")


def cumulative(betas):
    return np.concatenate([[1.0], np.multiply.accumulate(1.0 - np.asarray(betas))])


class _Tables:
    """The tables that a scheduler object keeps, all of them right."""

    def _set(self, betas):
        self.betas = probabilities(betas)
        self.alphas = 1.0 - self.betas
        self.alphas_cumprod = np.cumprod(self.alphas)
        self.alphas_cumprod_prev = np.append(1.0, self.alphas_cumprod[:-1])
        return self


class _Spacing:
    """A time grid by a method for each kind of spacing, in whole numbers."""

    def grid(self, kind, T, S):
        if not 1 <= S <= T:
            raise ValueError(f"{S} steps of {T}")
        steps = getattr(self, "_" + kind)(T, S)
        return np.array([*steps, 0], dtype=np.int64)

    @staticmethod
    def _nearest(a, b):
        return math.floor(Fraction(a, b) + Fraction(1, 2))

    def _linspace(self, T, S):
        return [T] if S == 1 else [1 + self._nearest(k * (T - 1), S - 1) for k in reversed(range(S))]

    def _leading(self, T, S):
        stride = T // S
        return [1 + k * stride for k in reversed(range(S))]

    def _trailing(self, T, S):
        return [self._nearest((S - k) * T, S) for k in range(S)]

    def _quadratic(self, T, S):
        return [max(k, self._nearest(T * k * k, S * S)) for k in range(S, 0, -1)]


# right


class RightLogSpace:
    """Everything by sums of logarithms, differences by expm1."""

    truth = ""
    kind = "right"

    def _log_alpha_bar(self, betas):
        return np.concatenate(([0.0], np.cumsum(np.log1p(-probabilities(betas)))))

    def alpha_bar(self, betas):
        return np.exp(self._log_alpha_bar(betas))

    def snr(self, betas):
        return 1 / np.expm1(-self._log_alpha_bar(betas)[1:])

    def log_snr(self, betas):
        return -np.log(np.expm1(-self._log_alpha_bar(betas)[1:]))

    def transition(self, t, s, betas):
        gap = self._log_alpha_bar(betas)
        gap = gap[t] - gap[s]
        return np.exp(gap), -np.expm1(gap)

    def prior_kl(self, x0, betas):
        log_ab = self._log_alpha_bar(betas)[-1]
        each = np.exp(log_ab) * (np.square(x0) - 1) - np.log(-np.expm1(log_ab))
        return 0.5 * each.reshape(len(x0), -1).sum(axis=1)


class RightFractions(_Spacing):
    """Grids by exact fractions."""

    truth = ""
    kind = "right"


class RightPlainLoops:
    """Lists and loops of plain floats, without arrays until the end."""

    truth = ""
    kind = "right"

    def linear(self, T, beta_start, beta_end):
        betas = []
        for k in range(T):
            share = k / (T - 1) if T > 1 else 0.0
            betas.append(1000.0 / T * (beta_start * (1 - share) + beta_end * share))
        return probabilities(betas)

    def alpha_bar(self, betas):
        kept = [1.0]
        for b in probabilities(betas):
            kept.append(kept[-1] - kept[-1] * float(b))
        return np.array(kept)

    def transition(self, t, s, betas):
        pairs = zip(np.ravel(t), np.ravel(s), strict=True)
        kept = np.array([math.prod(1 - float(b) for b in betas[early:late]) for late, early in pairs]).reshape(np.shape(t))
        return kept, 1 - kept

    def zero_terminal_snr(self, betas):
        roots = [math.sqrt(a) for a in self.alpha_bar(betas)[1:]]
        first, last = roots[0], roots[-1]
        return np.array([1.0] + [((r - last) / (first - last) * first) ** 2 for r in roots])


class RightSpecialFunctions:
    """The logistic functions of scipy; the sigmoid schedule as a difference of tanh."""

    truth = ""
    kind = "right"

    def log_snr(self, betas):
        return special.logit(cumulative(betas)[1:])

    def from_log_snr(self, log_snr):
        return np.hstack([1.0, special.expit(log_snr)])

    def sigmoid_betas(self, T, start, end, tau, beta_max):
        x = np.linspace(start, end, T + 1) / (2 * tau)
        remaining = np.tanh(end / (2 * tau)) - np.tanh(x)
        return np.fmin(beta_max, -np.diff(remaining) / remaining[:-1])


class RightAngleSums:
    """The cosine schedule by a product formula: cos^2 a - cos^2 b = sin(b - a) sin(b + a)."""

    truth = ""
    kind = "right"

    def cosine(self, T, offset, beta_max):
        angle = np.pi / 2 * (np.linspace(0, 1, T + 1) + offset) / (1 + offset)
        a, b = angle[:-1], angle[1:]
        return np.minimum(beta_max, np.sin(b - a) * np.sin(b + a) / np.cos(a) ** 2)

    def quadratic(self, T, beta_start, beta_end):
        betas = np.linspace(math.sqrt(1000 * beta_start / T), math.sqrt(1000 * beta_end / T), T)
        return betas * betas


class RightStretched:
    """Looks wrong, as lucidrains/denoising-diffusion-pytorch#19 says, but T + 1 points from 0 to T + 1 over T + 1 are t / T."""

    truth = ""
    kind = "right"

    def cosine(self, T, offset, beta_max):
        steps = T + 1
        x = np.linspace(0, steps, steps)
        ac = np.cos(((x / steps) + offset) / (1 + offset) * np.pi * 0.5) ** 2
        return np.minimum(1 - (ac[1:] / ac[:-1]), beta_max)


class RightBackToBetas:
    """Rescaled alpha bars turned into betas and multiplied up again; ratios of signal to noise by standard deviations."""

    truth = ""
    kind = "right"

    def zero_terminal_snr(self, betas):
        several(betas)
        root = np.sqrt(np.cumprod(1 - betas))
        root = (root - root[-1]) * (root[0] / (root[0] - root[-1]))
        alphas = np.square(np.concatenate([root[:1], root[1:] / root[:-1]]))
        return np.cumprod(np.concatenate([[1.0], alphas]))

    def snr(self, betas):
        signal = np.sqrt(cumulative(betas)[1:])
        sigma = np.sqrt((1 - signal) * (1 + signal))
        return (signal / sigma) ** 2


class RightLongDouble:
    """Extended precision inside, float64 outside; the prior KL by entropies."""

    truth = ""
    kind = "right"

    def alpha_bar(self, betas):
        return np.r_[1, np.cumprod(1 - np.longdouble(probabilities(betas)))].astype(np.float64)

    def prior_kl(self, x0, betas):
        ab = self.alpha_bar(betas)[-1]
        flat = np.reshape(x0, (np.shape(x0)[0], -1))
        cross = 0.5 * np.einsum("bi,bi->b", flat, flat) * ab + 0.5 * flat.shape[1] * (1 - ab + math.log(2 * math.pi))
        return cross - flat.shape[1] * stats.norm(scale=math.sqrt(1 - ab)).entropy()


# linear and quadratic


class LinearStartsLate:
    """The first of the T + 1 points is dropped, so that beta_1 is one step above beta_start."""

    truth = "the linear betas start one step late (linspace over T + 1 points without the first)"
    kind = "index"

    def linear(self, T, beta_start, beta_end):
        scale = 1000 / T
        return probabilities(np.linspace(scale * beta_start, scale * beta_end, T + 1)[1:])


class LinearOpenEnd:
    """arange-like spacing that never reaches beta_end, shared by both schedules."""

    truth = "the steps are (end - start) / T, so that the last beta is not beta_end"
    kind = "index"

    def _steps(self, lo, hi, T):
        return lo + (hi - lo) / T * np.arange(T)

    def linear(self, T, beta_start, beta_end):
        return probabilities(self._steps(beta_start, beta_end, T) * 1000 / T)

    def quadratic(self, T, beta_start, beta_end):
        return self._steps(beta_start**0.5, beta_end**0.5, T) ** 2 * 1000 / T


class BetasOfAThousandSteps:
    """The published betas, whatever the number of steps (huggingface/diffusers#12341)."""

    truth = "the betas are not scaled by 1000 / T"
    kind = "term"

    def linear(self, T, beta_start, beta_end):
        return np.linspace(beta_start, beta_end, T)

    def quadratic(self, T, beta_start, beta_end):
        return np.square(np.linspace(np.sqrt(beta_start), np.sqrt(beta_end), T))


class WholeScale:
    """Integer division of the scale."""

    truth = "the scale is 1000 // T, rounded down to a whole number"
    kind = "dtype"

    def linear(self, T, beta_start, beta_end):
        return probabilities(1000 // T * np.linspace(beta_start, beta_end, T))


class LinearSilentlyClipped:
    """Betas above 1 are clipped to 0.999 where an error is meant (lucidrains/imagen-pytorch#161 asks for a cap)."""

    truth = "betas outside of (0, 1) are clipped where an error is right"
    kind = "check"

    def linear(self, T, beta_start, beta_end):
        betas = 1000 / T * np.linspace(beta_start, beta_end, T)
        return np.clip(betas, 1e-8, 0.999)


class QuadraticScaledRoot:
    """The scale is put on the roots, and so is squared."""

    truth = "the factor 1000 / T is applied before squaring, so it enters squared"
    kind = "power"

    def quadratic(self, T, beta_start, beta_end):
        root = np.linspace(beta_start**0.5, beta_end**0.5, T)
        return (root * (1000.0 / T)) ** 2


class QuadraticInTime:
    """beta grows with the square of time, instead of a squared straight line of roots."""

    truth = "beta = start + (end - start) u^2, where the square roots of the betas should go in equal steps"
    kind = "alternative"

    def quadratic(self, T, beta_start, beta_end):
        u = np.linspace(0.0, 1.0, T)
        return (beta_start + (beta_end - beta_start) * u * u) * 1000 / T


# cosine and sigmoid


class CosineHalfFixed:
    """T + 1 points from 0 to T, still divided by T + 1 (the first of the two changes proposed in jannerm/diffuser#68, alone)."""

    truth = "time is t / (T + 1) instead of t / T"
    kind = "index"

    def cosine(self, T, offset, beta_max):
        steps = T + 1
        x = np.linspace(0, T, steps)
        ac = np.cos((x / steps + offset) / (1 + offset) * np.pi * 0.5) ** 2
        ac = ac / ac[0]
        return np.clip(1 - ac[1:] / ac[:-1], 0, beta_max)


class CosineUnsquared:
    """f(t) is the cosine and not its square (lilianweng/lilianweng.github.io#9)."""

    truth = "alpha_bar is the cosine, not its square"
    kind = "power"

    def cosine(self, T, offset, beta_max):
        def f(t):
            return math.cos((t / T + offset) / (1 + offset) * math.pi / 2)

        return np.array([min(1 - f(k + 1) / f(k), beta_max) for k in range(T)])


class CosineBrackets:
    """A bracket too few: only the offset is divided by 1 + offset."""

    truth = "t / T + offset / (1 + offset) for (t / T + offset) / (1 + offset)"
    kind = "term"

    def cosine(self, T, offset, beta_max):
        angle = (np.arange(T + 1) / T + offset / (1 + offset)) * np.pi / 2
        ab = (np.cos(angle) / np.cos(angle[0])) ** 2
        return np.minimum(1 - ab[1:] / ab[:-1], beta_max)


class CosineFirstFromOne:
    """The alpha bars are not divided by f(0), so that the first beta takes the offset's part too."""

    truth = "alpha_bar_0 is taken as 1 without dividing f by f(0), so beta_1 is too large"
    kind = "term"

    def cosine(self, T, offset, beta_max):
        ab = np.cos(np.pi / 2 * (np.arange(1, T + 1) / T + offset) / (1 + offset)) ** 2
        previous = np.concatenate([[1.0], ab[:-1]])
        return np.minimum(1 - ab / previous, beta_max)


class CosineFromZero:
    """The table of alpha bars begins at time 0, so that the first beta is 0 (Project-MONAI/GenerativeModels#489)."""

    truth = "the alpha bars are those of t = 0..T-1, so all betas come one step late and the first is 0"
    kind = "index"

    def cosine(self, T, offset, beta_max):
        x = np.linspace(0, T, T + 1)
        alphas_cumprod = np.cos((x / T + offset) / (1 + offset) * np.pi * 0.5) ** 2
        alphas_cumprod /= alphas_cumprod[0]
        alphas = np.concatenate([alphas_cumprod[:1], alphas_cumprod[1:] / alphas_cumprod[:-1]])[:-1]
        return np.minimum(1 - alphas, beta_max)


class FixedClip:
    """The limits of the betas are constants of the code, in both schedules that clip."""

    truth = "the betas are clipped to [1e-4, 0.9999] whatever beta_max says"
    kind = "constant"

    def _betas(self, f):
        return np.clip(1 - f[1:] / f[:-1], 0.0001, 0.9999)

    def cosine(self, T, offset, beta_max):
        return self._betas(np.cos((np.arange(T + 1) / T + offset) / (1 + offset) * np.pi / 2) ** 2)

    def sigmoid_betas(self, T, start, end, tau, beta_max):
        return self._betas(special.expit(end / tau) - special.expit(np.linspace(start, end, T + 1) / tau))


class CosineOffsetInSteps:
    """The offset is counted in steps: t + offset over T + offset."""

    truth = "the offset is added to t in steps, not to t / T: (t + offset) / (T + offset)"
    kind = "units"

    def cosine(self, T, offset, beta_max):
        t = np.arange(T + 1)
        f = 0.5 + 0.5 * np.cos((t + offset) / (T + offset) * np.pi)
        return np.minimum(1 - f[1:] / f[:-1], beta_max)


class SigmoidEndWithoutTau:
    """The temperature is forgotten in the end value."""

    truth = "sigmoid(end) without the division by tau"
    kind = "part"

    def sigmoid_betas(self, T, start, end, tau, beta_max):
        t = np.linspace(0, T, T + 1) / T
        v_start, v_end = special.expit(start / tau), special.expit(end)
        ac = (v_end - special.expit((t * (end - start) + start) / tau)) / (v_end - v_start)
        ac = ac / ac[0]
        return np.clip(1 - ac[1:] / ac[:-1], 0, beta_max)


class SigmoidOfBetas:
    """The older sigmoid schedule, in which the betas themselves are sigmoids."""

    truth = "the betas, not the alpha bars, follow a sigmoid between 0 and beta_max"
    kind = "alternative"

    def sigmoid_betas(self, T, start, end, tau, beta_max):
        return beta_max * special.expit(np.linspace(start, end, T) / tau)


class SigmoidBackwards:
    """start and end change their places, which a symmetric range does not show."""

    truth = "start and end are swapped"
    kind = "swap"

    def sigmoid_betas(self, T, start, end, tau, beta_max):
        def f(u):
            return 1 / (1 + np.exp(-(end + u * (start - end)) / tau)) - 1 / (1 + np.exp(-start / tau))

        u = np.arange(T + 1) / T
        return np.minimum(1 - f(u[1:]) / f(u[:-1]), beta_max)


# alpha bar, signal-to-noise ratio, transitions


class AlphaBarWithoutFront(_Tables):
    """A table of T entries, in which time 0 reads the last one through index -1."""

    truth = "no 1 in front of the table: ab[s - 1] at s = 0 wraps around to the last entry"
    kind = "branch"

    def alpha_bar(self, betas):
        return self._set(betas).alphas_cumprod

    def transition(self, t, s, betas):
        bars = self._set(betas).alphas_cumprod
        kept = bars[t - 1] / bars[s - 1]
        return kept, 1 - kept


class PreviousTable(_Tables):
    """alphas_cumprod_prev is read for alphas_cumprod, by all that is derived from it."""

    truth = "the alpha bar of the step before (alphas_cumprod_prev) is used"
    kind = "index"

    def snr(self, betas):
        bar = self._set(betas).alphas_cumprod_prev
        with np.errstate(divide="ignore"):
            return bar / (1 - bar)

    def prior_kl(self, x0, betas):
        ab = self._set(betas).alphas_cumprod_prev[-1]
        if ab == 1:
            return np.full(len(x0), np.inf)
        return 0.5 * (ab * x0**2 - ab - np.log1p(-ab)).sum(axis=tuple(range(1, x0.ndim)))


class SinglePrecisionTable:
    """The table is kept in float32, as in many frameworks."""

    truth = "alpha bars are multiplied and stored in float32"
    kind = "dtype"

    def _bars(self, betas):
        return np.cumprod(1 - probabilities(betas).astype(np.float32), dtype=np.float32)

    def alpha_bar(self, betas):
        return np.insert(self._bars(betas), 0, 1)

    def snr(self, betas):
        bars = self._bars(betas)
        return bars / (1 - bars)

    def log_snr(self, betas):
        return np.log(self.snr(betas))


class ExponentialOfSums:
    """The continuous-time formula: exp(-sum of betas) for the product."""

    truth = "alpha bar is exp(-sum of betas), the continuous-time limit, not the product of 1 - beta"
    kind = "alternative"

    def alpha_bar(self, betas):
        return np.exp(-np.concatenate([[0.0], np.cumsum(probabilities(betas))]))

    def transition(self, t, s, betas):
        integral = np.sum(betas[s:t])
        return np.exp(-integral), -np.expm1(-integral)

    def log_snr(self, betas):
        return -np.log(np.expm1(np.cumsum(betas)))


class ProductOfBetas:
    """The betas are multiplied and not what they leave (a comment in LuChengTHU/dpm-solver#13)."""

    truth = "cumprod(betas) for cumprod(1 - betas)"
    kind = "term"

    def alpha_bar(self, betas):
        return np.append([1.0], np.cumprod(probabilities(betas)))


class AlphaBarWritesBetas:
    """The cumulative product is taken in place, in the caller's betas."""

    truth = "the input betas are overwritten (1 - betas in place)"
    kind = "alias"
    found = False

    def alpha_bar(self, betas):
        probabilities(betas)
        np.subtract(1.0, betas, out=betas)
        np.cumprod(betas, out=betas)
        return np.r_[1.0, betas]

    def snr(self, betas):
        bars = self.alpha_bar(betas)[1:]
        return bars / (1 - bars)


class StaleTable:
    """The table is made at the first call and kept as long as the number of steps stays the same."""

    truth = "the alpha bars of an earlier schedule of the same length are used (a cache by T alone)"
    kind = "alias"

    def __init__(self):
        self.cache = {}

    def _bars(self, betas):
        if len(betas) not in self.cache:
            self.cache[len(betas)] = cumulative(betas)
        return self.cache[len(betas)]

    def alpha_bar(self, betas):
        return self._bars(probabilities(betas))

    def log_snr(self, betas):
        bars = self._bars(betas)[1:]
        return np.log(bars) - np.log1p(-bars)

    def transition(self, t, s, betas):
        bars = self._bars(betas)
        return bars[t] / bars[s], (bars[s] - bars[t]) / bars[s]


class AmplitudeRatio:
    """Signal to noise by amplitudes; its logarithm is then half of what is meant."""

    truth = "the ratio of amplitudes sqrt(ab) / sqrt(1 - ab), the root of the signal-to-noise ratio"
    kind = "power"

    def snr(self, betas):
        bars = cumulative(betas)[1:]
        return np.sqrt(bars) / np.sqrt(1 - bars)

    def log_snr(self, betas):
        return np.log(self.snr(betas))


class HalfLogSnr:
    """lambda = log(signal / sigma), as some solvers have it, in both directions."""

    truth = "log-SNR is half of it (log of the amplitude ratio), there and back"
    kind = "factor"

    def log_snr(self, betas):
        log_bar = np.log(cumulative(betas)[1:])
        return 0.5 * log_bar - 0.5 * np.log(1 - np.exp(log_bar))

    def from_log_snr(self, log_snr):
        return np.append(1.0, special.expit(2 * np.asarray(log_snr)))


class NoiseToSignal:
    """The ratio stands on its head; sigma^2 comes back for alpha bar."""

    truth = "noise over signal: (1 - ab) / ab, and its inverse gives 1 - ab"
    kind = "sign"

    def snr(self, betas):
        bars = cumulative(betas)[1:]
        return 1 / bars - 1

    def from_log_snr(self, log_snr):
        return np.append(1.0, 1 / (1 + np.exp(log_snr)))


class Decibels:
    """Ten times the decimal logarithm."""

    truth = "the log-SNR is in decibels, 10 log10"
    kind = "units"

    def log_snr(self, betas):
        bars = np.cumprod(1 - betas)
        return 10 * np.log10(bars / (1 - bars))


class SnrWithEpsilon:
    """A small number against division by 0 that is not so small beside the first betas."""

    truth = "1e-5 is added to the denominator 1 - ab"
    kind = "constant"

    def snr(self, betas):
        bars = cumulative(betas)[1:]
        return bars / (1 - bars + 1e-5)

    def log_snr(self, betas):
        return np.log(self.snr(betas))


class SnrFromTimeZero:
    """The whole table with t = 0, where the ratio is infinite."""

    truth = "the ratio at t = 0 (infinite) is part of the answer, which then has T + 1 entries"
    kind = "index"

    def snr(self, betas):
        bars = cumulative(betas)
        with np.errstate(divide="ignore"):
            return bars / (1 - bars)


class TransitionOfOneStep:
    """beta_t of the schedule, also where steps are skipped (huggingface/diffusers#3006)."""

    truth = "alpha_t and beta_t of one step, also when s is not t - 1"
    kind = "branch"

    def transition(self, t, s, betas):
        return 1 - betas[t - 1], betas[t - 1]


class TransitionInclusive:
    """The product runs from s to t with both ends."""

    truth = "the product of the alphas includes that of step s itself"
    kind = "index"

    def transition(self, t, s, betas):
        kept = 1.0
        for step in range(max(s, 1), t + 1):
            kept *= 1 - betas[step - 1]
        return kept, 1 - kept


class TransitionDrop:
    """The noise between two times as the difference of the alpha bars."""

    truth = "beta is alpha_bar_s - alpha_bar_t, without the division by alpha_bar_s"
    kind = "term"

    def transition(self, t, s, betas):
        bars = cumulative(betas)
        return bars[t] / bars[s], bars[s] - bars[t]


# zero terminal signal-to-noise ratio


class TerminalShiftOnly:
    """The last is moved to 0, and the first moves along."""

    truth = "shifted to 0 at T but not scaled back to stay at t = 1"
    kind = "term"

    def zero_terminal_snr(self, betas):
        several(betas)
        root = np.sqrt(cumulative(betas)[1:])
        return np.append(1.0, (root - root[-1]) ** 2)


class TerminalOfAlphaBar:
    """The alpha bars themselves are shifted and scaled."""

    truth = "alpha_bar is shifted and scaled itself, where its square root should be"
    kind = "alternative"

    def zero_terminal_snr(self, betas):
        several(betas)
        bars = cumulative(betas)[1:]
        return np.append(1.0, (bars - bars[-1]) / (bars[0] - bars[-1]) * bars[0])


class TerminalKeepsTimeZero:
    """The whole table is mapped, so that alpha_bar_0 = 1 stays, and alpha_bar_1 does not."""

    truth = "the scaling keeps alpha_bar_0 instead of alpha_bar_1"
    kind = "index"

    def zero_terminal_snr(self, betas):
        several(betas)
        root = np.sqrt(cumulative(betas))
        return np.square((root - root[-1]) / (root[0] - root[-1]) * root[0])


class TerminalAlmostZero:
    """A tiny number for the last alpha bar, that eps may be divided by its root."""

    truth = "the last alpha_bar is 2^-24 and not 0"
    kind = "constant"

    def zero_terminal_snr(self, betas):
        several(betas)
        root = np.sqrt(cumulative(betas)[1:])
        bars = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
        bars[-1] = 2.0**-24
        return np.append(1.0, bars)


class TerminalOfOneStep:
    """Right, but for T = 1, where 0 / 0 comes out."""

    truth = "T = 1 gives NaN (0 / 0) where an error is right"
    kind = "nan"

    def zero_terminal_snr(self, betas):
        root = np.sqrt(cumulative(betas)[1:])
        with np.errstate(invalid="ignore"):
            bars = np.square((root - root[-1]) * root[0] / (root[0] - root[-1]))
        return np.append(1.0, bars)


# prior KL


class PriorKlPerDimension:
    """The mean over the event for the sum."""

    truth = "averaged over the coordinates instead of summed"
    kind = "units"

    def prior_kl(self, x0, betas):
        bar = np.prod(1 - betas)
        kl = 0.5 * (bar * x0**2 + (1 - bar) - 1 - np.log(1 - bar))
        return kl.mean(axis=tuple(range(1, kl.ndim)))


class PriorKlLogSigma:
    """The log-variance of the generic KL is the log of sigma (tqch/ddpm-torch#9)."""

    truth = "log sigma (half of the log-variance) is passed as the log-variance of q(x_T | x_0)"
    kind = "factor"

    def _normal_kl(self, mean1, logvar1, mean2, logvar2):
        return 0.5 * (-1.0 + logvar2 - logvar1 + np.exp(logvar1 - logvar2) + (mean1 - mean2) ** 2 * np.exp(-logvar2))

    def prior_kl(self, x0, betas):
        bar = np.cumprod(1 - betas)[-1]
        logvar = np.log(np.sqrt(1 - bar))
        return self._normal_kl(np.sqrt(bar) * x0, logvar, 0.0, 0.0).sum(axis=tuple(range(1, x0.ndim)))


class PriorKlReversed:
    """The divergence of the prior from q, in place of q from the prior."""

    truth = "the arguments are swapped: D(N(0, I) || q(x_T | x_0))"
    kind = "swap"

    def prior_kl(self, x0, betas):
        bar = cumulative(betas)[-1]
        each = (1 + bar * x0 * x0) / (1 - bar) - 1 + np.log(1 - bar)
        return 0.5 * np.einsum("bi->b", each.reshape(len(x0), -1))


class PriorKlRowsOnly:
    """The sum over the last axis, where images have three."""

    truth = "summed over the last axis only, which is right for vectors but not for images"
    kind = "axis"

    def prior_kl(self, x0, betas):
        bar = cumulative(betas)[-1]
        return 0.5 * np.sum(bar * x0**2 - bar - np.log(1 - bar), axis=-1)


# grids


class GridFromZero(_Spacing):
    """Leading times without the offset of one (huggingface/diffusers#2585, #5921)."""

    truth = "leading times count from 0: (i - 1) floor(T / S), so 0 comes twice"
    kind = "index"

    def _leading(self, T, S):
        return (np.arange(S) * (T // S))[::-1]


class GridTruncated(_Spacing):
    """Times are cut to whole numbers where they should be rounded."""

    truth = "times are truncated (astype(int)) instead of rounded"
    kind = "dtype"

    def _linspace(self, T, S):
        return np.linspace(T, 1, S).astype(int)

    def _trailing(self, T, S):
        return (np.arange(S, 0, -1) * (T / S)).astype(int)


class GridHalvesToEven(_Spacing):
    """numpy's round, which takes halves to the even neighbour."""

    truth = "halves are rounded to even instead of up"
    kind = "alternative"

    def _linspace(self, T, S):
        return np.round(np.linspace(T, 1, S)).astype(int)

    def _trailing(self, T, S):
        return np.round(np.arange(S, 0, -1) * T / S).astype(int)


class GridSingleStep(_Spacing):
    """The equal steps are made upwards and turned around: one step then begins at 1."""

    truth = "S = 1 gives the time 1 instead of T"
    kind = "branch"

    def _linspace(self, T, S):
        return np.floor(np.linspace(1, T, S)[::-1] + 0.5).astype(int)


class GridArange(_Spacing):
    """A range of floats from T down by T / S, whose last element may be one of rounding errors."""

    truth = "np.arange with a float step: rounding errors shift times or add one that is 0"
    kind = "dtype"

    def _trailing(self, T, S):
        return np.floor(np.arange(T, 0, -(T / S)) + 0.5).astype(int)


class GridDdimQuadratic(_Spacing):
    """The quadratic spacing of the DDIM code, which ends at 0.8 T."""

    truth = "the quadratic times run to 0.8 T in squares of an even grid that starts at 0"
    kind = "alternative"

    def _quadratic(self, T, S):
        return ((np.linspace(0, np.sqrt(T * 0.8), S)) ** 2).astype(int)[::-1] + 1


class GridRepeats(_Spacing):
    """Nothing keeps small quadratic times apart."""

    truth = "without the maximum with i, so the small quadratic times repeat or are 0"
    kind = "term"

    def _quadratic(self, T, S):
        return [self._nearest(T * k * k, S * S) for k in range(S, 0, -1)]


class GridWithoutEnd(_Spacing):
    """The times of the model's calls only."""

    truth = "the final 0 is missing"
    kind = "part"

    def grid(self, kind, T, S):
        return super().grid(kind, T, S)[:-1]


class GridTooLong(_Spacing):
    """A stride through all times gives more than S of them (huggingface/diffusers#1835)."""

    truth = "range(1, T + 1, T // S) has more than S times where S does not divide T"
    kind = "index"

    def _leading(self, T, S):
        return list(range(1, T + 1, T // S))[::-1]


class GridUnchecked(_Spacing):
    """Any number of steps is taken."""

    truth = "S = 0 and S > T are accepted"
    kind = "check"

    def grid(self, kind, T, S):
        return np.array([*getattr(self, "_" + kind)(T, S), 0], dtype=np.int64)

    def _leading(self, T, S):
        stride = T // max(S, 1)
        return [1 + k * stride for k in reversed(range(S))]


# two mistakes


class TwoOfCosine:
    """Neither the square nor the times are right."""

    truth = "two: the cosine is not squared; time is (t + 1) / (T + 1)"
    kind = "two"

    def cosine(self, T, offset, beta_max):
        x = (np.arange(1, T + 2) / (T + 1) + offset) / (1 + offset)
        f = np.cos(x * np.pi / 2)
        return np.minimum(1 - f[1:] / f[:-1], beta_max)


class TwoOfSnr:
    """Amplitudes in decibels of the previous step."""

    truth = "two: decibels (20 log10) and the alpha bar of the step before from t = 2"
    kind = "two"

    def log_snr(self, betas):
        bars = np.cumprod(1 - betas)
        bars[1:] = bars[:-1].copy()
        return 20 * np.log10(bars / (1 - bars))


class TwoOfPriorKl:
    """The mean over the event, and no -1."""

    truth = "two: the -1 of the KL is forgotten, and it is averaged over the coordinates"
    kind = "two"

    def prior_kl(self, x0, betas):
        bar = cumulative(betas)[-1]
        kl = 0.5 * (bar * x0**2 + (1 - bar) - np.log(1 - bar))
        return kl.reshape(len(x0), -1).mean(1)
