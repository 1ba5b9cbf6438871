"""Wrong flows and wrong guidance, and some right ones in unusual styles."""

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.special import expit, log_softmax, logit, softmax

HALF_PI = np.pi / 2


def column(value, like):
    """A number, or one for every example, shaped to broadcast to the examples."""
    value = np.asarray(value, dtype=float)
    return value.reshape(value.shape + (1,) * (like.ndim - 1)) if value.ndim else value


def in_unit(t):
    if np.any(np.less(t, 0)) or np.any(np.greater(t, 1)):
        raise ValueError(f"t = {t} is not in [0, 1]")


def per_event(values):
    return values.reshape(len(values), -1).sum(axis=1)


def noise_level(t, like, betas):
    """sqrt(1 - alpha_bar_t), from a table that starts with t = 0."""
    return np.sqrt(1 - np.cumprod(np.append(1.0, 1 - betas)))[np.asarray(t)].reshape(np.shape(t) + (1,) * (like.ndim - np.ndim(t)))


class Path:
    """A right path in small parts, for classes below to change."""

    def _schedule(self, t, path):
        """Signal and sigma."""
        return (t, 1 - t) if path == "straight" else (np.sin(HALF_PI * t), np.cos(HALF_PI * t))

    def _rates(self, t, path):
        if path == "straight":
            return np.ones_like(t), -np.ones_like(t)
        return HALF_PI * np.cos(HALF_PI * t), -HALF_PI * np.sin(HALF_PI * t)

    def interpolate(self, data, noise, t, path):
        in_unit(t)
        a, b = self._schedule(column(t, data), path)
        return a * data + b * noise

    def velocity(self, data, noise, t, path):
        in_unit(t)
        a, b = self._rates(column(t, data), path)
        return a * data + b * noise

    def conditional_loss(self, prediction, data, noise, t, path):
        return per_event(np.square(prediction - self.velocity(data, noise, t, path)))


class Kinds:
    """Right conversions on a path by way of the pair of data and noise, for classes below to change."""

    def _weights(self, t, path):
        return Path()._schedule(t, path)

    def _rates(self, t, path):
        return Path()._rates(t, path)

    def _data(self, value, x, a, b, da, db, kind):
        if kind == "x0":
            return value
        if kind == "v":
            return (a * x - b * value) / (a**2 + b**2)
        if kind == "velocity":
            return (b * value - db * x) / (da * b - db * a)
        noise = value if kind == "eps" else -b * value
        return (x - b * noise) / a

    def _answer(self, data, noise, a, b, da, db, kind):
        if kind == "x0":
            return data
        if kind == "eps":
            return noise
        if kind == "score":
            return -noise / b
        return a * noise - b * data if kind == "v" else da * data + db * noise

    def convert_on_path(self, prediction, x_t, t, path, source, to):
        if np.any((np.asarray(t) <= 0) | (np.asarray(t) >= 1)):
            raise ValueError(f"t = {t}")
        t = column(t, x_t)
        coefficients = (*self._weights(t, path), *self._rates(t, path))
        data = self._data(prediction, x_t, *coefficients, source)
        noise = (x_t - coefficients[0] * data) / coefficients[1]
        return self._answer(data, noise, *coefficients, to)


class Mixture:
    """A right mixture score in small parts, for classes below to change."""

    def _signal(self, t, betas):
        return np.exp(0.5 * np.log1p(-betas[:t]).sum())

    def _width(self, signal, variance):
        return signal**2 * variance + 1 - signal**2

    def _posterior(self, delta, width):
        return softmax(-0.5 * np.sum(delta**2, axis=-1) / width, axis=1)

    def _parts(self, x, t, means, variance, betas):
        signal = self._signal(t, betas)
        width = self._width(signal, variance)
        delta = signal * means[None, :, :] - x[:, None, :]
        return delta / width, self._posterior(delta, width)

    def mixture_score(self, x, t, means, variance, betas):
        pulls, chances = self._parts(x, t, means, variance, betas)
        return np.einsum("bk,bkd->bd", chances, pulls)

    def mixture_class_gradient(self, x, t, y, means, variance, betas):
        if y.min() < 0 or y.max() >= len(means):
            raise ValueError(f"classes {y}")
        pulls, _ = self._parts(x, t, means, variance, betas)
        return pulls[range(len(x)), y] - self.mixture_score(x, t, means, variance, betas)


class DataAtTimeZero(Path):
    """The convention of diffusion times, and of other flow code: 0 is data."""

    truth = "time runs from data at 0 to noise at 1"
    kind = "alternative"

    def _schedule(self, t, path):
        return super()._schedule(1 - t, path)

    def _rates(self, t, path):
        rates = super()._rates(1 - t, path)
        return -rates[0], -rates[1]


class VelocityTowardsNoise(Path):
    """The path is right, the target points the other way; yukara-ikemiya/friendly-stable-audio-tools#9 asks which one is meant."""

    truth = "the velocity is noise - data: the sign is the other one"
    kind = "sign"

    def velocity(self, data, noise, t, path):
        return -super().velocity(data, noise, t, path)


class SmallestSigma(Path):
    """The path of the first flow matching paper, which ends in a narrow Gaussian."""

    truth = "the straight path keeps sigma_min = 1e-4 at t = 1, in the velocity too"
    kind = "alternative"
    sigma_min = 1e-4

    def _schedule(self, t, path):
        return (t, 1 - (1 - self.sigma_min) * t) if path == "straight" else super()._schedule(t, path)

    def _rates(self, t, path):
        rates = super()._rates(t, path)
        return (rates[0], -(1 - self.sigma_min) * np.ones_like(t)) if path == "straight" else rates


class ChainRuleForgotten(Path):
    """The derivative of sin(pi t / 2) is taken as cos(pi t / 2)."""

    truth = "the factor pi / 2 is missing in the trigonometric velocity"
    kind = "term"

    def _rates(self, t, path):
        return super()._rates(t, path) if path == "straight" else (np.cos(HALF_PI * t), -np.sin(HALF_PI * t))


class BothRatesPositive(Path):
    """The derivative of the cosine keeps its sign."""

    truth = "sigma's derivative has the wrong sign on the trigonometric path"
    kind = "sign"

    def _rates(self, t, path):
        rise, fall = super()._rates(t, path)
        return (rise, fall) if path == "straight" else (rise, -fall)


class SineForTheNoise(Path):
    """cos(pi t / 2) is put before the data."""

    truth = "sine and cosine are swapped on the trigonometric path"
    kind = "swap"

    def _schedule(self, t, path):
        pair = super()._schedule(t, path)
        return pair if path == "straight" else pair[::-1]

    def _rates(self, t, path):
        pair = super()._rates(t, path)
        return pair if path == "straight" else pair[::-1]


class HalfATurn(Path):
    """The angle is pi t."""

    truth = "the angle of the trigonometric path is pi t, twice too large"
    kind = "factor"

    def _schedule(self, t, path):
        return super()._schedule(t if path == "straight" else 2 * t, path)

    def _rates(self, t, path):
        if path == "straight":
            return super()._rates(t, path)
        return np.pi * np.cos(np.pi * t), -np.pi * np.sin(np.pi * t)


class AngleInDegrees(Path):
    """The angle 90 t goes into sine and cosine."""

    truth = "sine and cosine are given the angle in degrees"
    kind = "units"

    def interpolate(self, data, noise, t, path):
        if path == "straight":
            return super().interpolate(data, noise, t, path)
        angle = column(90 * t, data)
        return np.sin(angle) * data + np.cos(angle) * noise


class TimesAlongTheLastAxis:
    """t (B,) meets data (B, ..., d) as NumPy broadcasts it."""

    truth = "t (B,) is broadcast along the last axis, not along the batch"
    kind = "axis"

    def interpolate(self, data, noise, t, path):
        in_unit(t)
        if path == "straight":
            return noise + t * (data - noise)
        return np.sin(HALF_PI * t) * data + np.cos(HALF_PI * t) * noise


class ShapesForVectorsOnly:
    """t[:, None], written for points and given images."""

    truth = "t (B,) is reshaped to (B, 1), whatever the number of axes: images raise an error"
    kind = "axis"

    def velocity(self, data, noise, t, path):
        in_unit(t)
        if path == "straight":
            return data - noise
        angle = HALF_PI * (t[:, None] if np.ndim(t) else t)
        return HALF_PI * (np.cos(angle) * data - np.sin(angle) * noise)


class FirstTimeForAll(Path):
    """A batch of times, of which float() of the first is taken."""

    truth = "all examples use the time of the first"
    kind = "part"

    def interpolate(self, data, noise, t, path):
        return super().interpolate(data, noise, np.ravel(t)[0], path)

    def velocity(self, data, noise, t, path):
        return super().velocity(data, noise, np.ravel(t)[0], path)


class TimesKeptOffTheEnds(Path):
    """Times are clamped to [1e-3, 1 - 1e-3] before anything is done."""

    truth = "t is clamped to 1e-3..1 - 1e-3, also outside of [0, 1], where an error is right"
    kind = "constant"

    def interpolate(self, data, noise, t, path):
        return super().interpolate(data, noise, np.clip(t, 1e-3, 1 - 1e-3), path)

    def velocity(self, data, noise, t, path):
        return super().velocity(data, noise, np.clip(t, 1e-3, 1 - 1e-3), path)


class ExtrapolatesPaths:
    """Right within [0, 1]."""

    truth = "t outside of [0, 1] is not refused"
    kind = "check"

    def interpolate(self, data, noise, t, path):
        a, b = Path()._schedule(column(t, data), path)
        return a * data + b * noise

    def velocity(self, data, noise, t, path):
        a, b = Path()._rates(column(t, data), path)
        return a * data + b * noise


class VelocityFromTheStateAndNoise(Path):
    """(x_t - noise) / t, which is data - noise, but for t = 0."""

    truth = "the straight velocity is (x_t - noise) / t, NaN at t = 0"
    kind = "nan"

    def velocity(self, data, noise, t, path):
        if path != "straight":
            return super().velocity(data, noise, t, path)
        return (self.interpolate(data, noise, t, path) - noise) / column(t, data)


class VelocityLessTheNoisedPoint(Path):
    """As asked in lucidrains/pi-zero-pytorch#13: the name noise was reused for the mixed point before the difference was taken."""

    truth = "the velocity is data - x_t on the straight path, which is 1 - t times the right one"
    kind = "swap"

    def velocity(self, data, noise, t, path):
        if path == "straight":
            noise = self.interpolate(data, noise, t, path)
        return super().velocity(data, noise, t, path)


class VelocityByForwardDifference(Path):
    """The derivative of the path as a difference over 1e-4."""

    truth = "the velocity is a forward difference of step 1e-4"
    kind = "alternative"

    def velocity(self, data, noise, t, path):
        in_unit(t)
        t, dt = column(t, data), 1e-4
        now, later = self._schedule(t, path), self._schedule(t + dt, path)
        return ((later[0] - now[0]) * data + (later[1] - now[1]) * noise) / dt


class TargetIsAlwaysStraight(Path):
    """The option was added to the path, not to the loss."""

    truth = "the loss compares with data - noise on the trigonometric path too"
    kind = "branch"

    def conditional_loss(self, prediction, data, noise, t, path):
        in_unit(t)
        return per_event((prediction - data + noise) ** 2)


class MeanOverTheEvent(Path):
    """mse with its default reduction, example by example."""

    truth = "the losses are means over the event, not sums"
    kind = "units"

    def conditional_loss(self, prediction, data, noise, t, path):
        error = prediction - self.velocity(data, noise, t, path)
        return (error**2).mean(axis=tuple(range(1, error.ndim)))

    def marginal_loss(self, prediction, marginal_velocity):
        return np.mean((prediction - marginal_velocity).reshape(len(prediction), -1) ** 2, axis=1)


class LossOfTheBatch(Path):
    """Every example is given the mean loss of the batch."""

    truth = "all examples have the mean of the batch as their loss"
    kind = "axis"

    def conditional_loss(self, prediction, data, noise, t, path):
        return np.full(len(data), super().conditional_loss(prediction, data, noise, t, path).mean())

    def marginal_loss(self, prediction, marginal_velocity):
        return np.full(len(prediction), ((prediction - marginal_velocity) ** 2).sum() / len(prediction))


class HalfTheSquare(Path):
    """The 1/2 of a Gaussian's exponent."""

    truth = "the losses are half the squared distance"
    kind = "factor"

    def conditional_loss(self, prediction, data, noise, t, path):
        return self.marginal_loss(prediction, self.velocity(data, noise, t, path))

    def marginal_loss(self, prediction, marginal_velocity):
        residual = (prediction - marginal_velocity).reshape(len(prediction), -1)
        return 0.5 * np.einsum("bi,bi->b", residual, residual)


class DistanceNotSquared(Path):
    """The norm of the residual."""

    truth = "the losses are the distance, not its square"
    kind = "power"

    def conditional_loss(self, prediction, data, noise, t, path):
        return self.marginal_loss(prediction, self.velocity(data, noise, t, path))

    def marginal_loss(self, prediction, marginal_velocity):
        return np.linalg.norm((prediction - marginal_velocity).reshape(len(prediction), -1), axis=1)


class PseudoHuber(Path):
    """The robust loss of consistency models and of some flows."""

    truth = "a pseudo-Huber loss of the distance in place of its square"
    kind = "alternative"

    def conditional_loss(self, prediction, data, noise, t, path):
        squared = super().conditional_loss(prediction, data, noise, t, path)
        c = 0.00054 * np.sqrt(data[0].size)
        return np.sqrt(squared + c**2) - c


class SumOfTheFirstAxisOnly:
    """sum(axis=1) leaves the other axes of an image."""

    truth = "the loss is summed over the first axis after the batch only; the rest is averaged"
    kind = "axis"

    def marginal_loss(self, prediction, marginal_velocity):
        by_row = ((prediction - marginal_velocity) ** 2).sum(axis=1)
        return by_row.reshape(len(by_row), -1).mean(axis=1)


class ProductWithoutItsSquare:
    """The square is multiplied out, and the part that has no parameters is left out as constant."""

    truth = "the square of the velocity is left out of the marginal loss"
    kind = "term"

    def marginal_loss(self, prediction, marginal_velocity):
        p, u = (v.reshape(len(v), -1) for v in (prediction, marginal_velocity))
        return np.einsum("bi,bi->b", p, p) - 2 * np.einsum("bi,bi->b", p, u)


class WeightedByTime(Path):
    """The weight that makes it a loss of x0."""

    truth = "the loss is multiplied by (1 - t)^2, as if it were the error of the data"
    kind = "term"

    def conditional_loss(self, prediction, data, noise, t, path):
        return super().conditional_loss(prediction, data, noise, t, path) * np.square(1 - np.asarray(t))


class ScoreIsMinusNoise(Kinds):
    """The score is not divided by sigma, neither way."""

    truth = "score = -eps: the division by sigma is missing"
    kind = "term"

    def _data(self, value, x, a, b, da, db, kind):
        return super()._data(-value, x, a, b, da, db, "eps") if kind == "score" else super()._data(value, x, a, b, da, db, kind)

    def _answer(self, data, noise, a, b, da, db, kind):
        return -noise if kind == "score" else super()._answer(data, noise, a, b, da, db, kind)


class ScoreOverVariance(Kinds):
    """The answer is -eps / sigma^2; scores that come in are read right."""

    truth = "a score that is asked for is eps divided by sigma squared"
    kind = "power"

    def _answer(self, data, noise, a, b, da, db, kind):
        return -noise / b**2 if kind == "score" else super()._answer(data, noise, a, b, da, db, kind)


class DiffusionReadingOfV(Kinds):
    """x0 = signal x - sigma v holds where the squares add up to 1."""

    truth = "v is read as on a path that preserves variance: no division by signal^2 + sigma^2 on the straight path"
    kind = "term"

    def _data(self, value, x, a, b, da, db, kind):
        return a * x - b * value if kind == "v" else super()._data(value, x, a, b, da, db, kind)


class VIsTheVelocity(Kinds):
    """One letter for two things."""

    truth = "v is taken for the path's velocity"
    kind = "alternative"

    def convert_on_path(self, prediction, x_t, t, path, source, to):
        named = {"v": "velocity"}
        return super().convert_on_path(prediction, x_t, t, path, named.get(source, source), named.get(to, to))


class VelocityOfTheStraightPathOnly(Kinds):
    """velocity = data - noise on all paths."""

    truth = "the velocity of the trigonometric path is taken for data - noise"
    kind = "branch"

    def _rates(self, t, path):
        return 1.0, -1.0


class DataFromVelocityAtTheOtherEnd(Kinds):
    """x0 = x - t velocity, which is the noise, and not x + (1 - t) velocity."""

    truth = "on the straight path a velocity is read as the noise where the data are meant"
    kind = "swap"

    def convert_on_path(self, prediction, x_t, t, path, source, to):
        if (path, source, to) == ("straight", "velocity", "x0"):
            return x_t - column(t, x_t) * prediction
        return super().convert_on_path(prediction, x_t, t, path, source, to)


class SigmaOfTheSignal(Kinds):
    """sigma = sqrt(1 - signal^2) on every path."""

    truth = "sigma is sqrt(1 - t^2) on the straight path in the conversions"
    kind = "alternative"

    def _weights(self, t, path):
        a = t if path == "straight" else np.sin(HALF_PI * t)
        return a, np.sqrt(1 - a**2)


class DividesByAlmostZero(Kinds):
    """Signals and sigmas have a floor of 1e-8."""

    truth = "a division by max(signal, 1e-8) gives a huge x0 at t = 0 where an error is right"
    kind = "check"

    def convert_on_path(self, prediction, x_t, t, path, source, to):
        t = np.clip(column(t, x_t), 1e-8, 1 - 1e-8)
        return super().convert_on_path(prediction, x_t, np.squeeze(t), path, source, to)


class LogSnrOfAmplitudes:
    """signal / sigma for the ratio of their squares, consistently in both functions."""

    truth = "log-SNR is log(signal / sigma), half of what is meant"
    kind = "factor"

    def flow_time(self, log_snr):
        return expit(log_snr)

    def flow_log_snr(self, tau):
        return np.log(tau) - np.log1p(-tau)


class LogSnrInDecibels:
    """As engineers have it."""

    truth = "the log-SNR is in decibels, 10 log10 of the SNR"
    kind = "units"

    def flow_log_snr(self, tau):
        return 20 * np.log10(tau / (1 - tau))

    def flow_time(self, log_snr):
        amplitude = 10 ** (log_snr / 20)
        return amplitude / (1 + amplitude)


class LogSnrWithOffset:
    """An offset keeps the logarithm finite."""

    truth = "1e-5 is added to tau and to 1 - tau before the logarithm"
    kind = "constant"

    def flow_log_snr(self, tau):
        return 2 * (np.log(tau + 1e-5) - np.log(1 - tau + 1e-5))


class TimeOfTheNoise:
    """tau is the share of the noise."""

    truth = "tau is sigmoid(-log_snr / 2): time is reversed"
    kind = "sign"

    def flow_time(self, log_snr):
        return 1 / (1 + np.exp(np.divide(log_snr, 2)))


class ScaledToUnitLength:
    """signal and sigma are divided by their root of squares, which is 1 for a diffusion."""

    truth = "to_flow divides by sqrt(signal^2 + sigma^2) and from_flow by tau + (1 - tau): each by the other's factor"
    kind = "swap"

    def to_flow(self, x_t, signal, sigma):
        length = np.hypot(column(signal, x_t), column(sigma, x_t))
        if np.any(length == 0):
            raise ValueError
        return x_t / length

    def from_flow(self, x_tau, tau):
        tau = column(tau, x_tau)
        return x_tau / (tau + (1 - tau))


class MultipliesForDivides:
    """The scale is put on the wrong side of the equation."""

    truth = "to_flow and from_flow multiply by the scale that should divide"
    kind = "power"

    def to_flow(self, x_t, signal, sigma):
        total = column(signal, x_t) + column(sigma, x_t)
        if np.any(total == 0):
            raise ValueError
        return total * x_t

    def from_flow(self, x_tau, tau):
        tau = column(tau, x_tau)
        return x_tau * np.sqrt(tau * tau + (1 - tau) * (1 - tau))


class ScaleIsNotARoot:
    """tau^2 + (1 - tau)^2 itself."""

    truth = "from_flow divides by the variance and not by its root"
    kind = "power"

    def from_flow(self, x_tau, tau):
        tau = column(tau, x_tau)
        return x_tau / (1 - 2 * tau + 2 * tau**2)


class ScalesAlongTheLastAxis:
    """signal, sigma and tau (B,) meet (B, d) from the right."""

    truth = "signal, sigma and tau (B,) are broadcast along the last axis"
    kind = "axis"

    def to_flow(self, x_t, signal, sigma):
        if np.any(np.add(signal, sigma) == 0):
            raise ValueError
        return x_t / (signal + sigma)

    def from_flow(self, x_tau, tau):
        return x_tau / np.sqrt(tau**2 + (1 - tau) ** 2)


class NothingBecomesLarge:
    """An eps in the denominator."""

    truth = "to_flow divides by signal + sigma + 1e-8, also where both are 0"
    kind = "constant"

    def to_flow(self, x_t, signal, sigma):
        return x_t / (column(signal, x_t) + column(sigma, x_t) + 1e-8)


class PairsTheOtherWay:
    """linear_sum_assignment's columns for rows of data, which is the order of the noise."""

    truth = "the inverse permutation: the order of the noise for the data is returned"
    kind = "swap"

    def couple_optimally(self, data, noise):
        rows, columns = linear_sum_assignment(cdist(data, noise, "sqeuclidean"))
        return columns[np.argsort(rows)]


class PlainDistance:
    """cdist without a metric is Euclidean."""

    truth = "the total of the distances is least, not that of their squares"
    kind = "power"

    def couple_optimally(self, data, noise):
        return linear_sum_assignment(cdist(noise, data))[1]


class GreedyPairs:
    """Every noise takes the nearest point that is left."""

    truth = "a greedy pairing in the order of the noise, not the optimal one"
    kind = "alternative"

    def couple_optimally(self, data, noise):
        order, free = [], list(range(len(data)))
        for z in noise:
            best = min(free, key=lambda i: np.sum((data[i] - z) ** 2))
            free.remove(best)
            order.append(best)
        return np.array(order)


class NearestWithRepetition:
    """argmin over the data, which may name a point twice."""

    truth = "every noise gets its nearest data point, which need not be a permutation"
    kind = "alternative"

    def couple_optimally(self, data, noise):
        cost = np.sum((noise[:, None, :] - data[None, :, :]) ** 2, axis=-1)
        return np.argmin(cost, axis=1)


class SortedByOneCoordinate:
    """What is optimal in one dimension."""

    truth = "both are sorted by their first coordinate"
    kind = "part"

    def couple_optimally(self, data, noise):
        order = np.empty(len(data), dtype=int)
        order[np.argsort(noise[:, 0])] = np.argsort(data[:, 0])
        return order


class CosineCost:
    """The angle between data and noise."""

    truth = "the cost is the cosine distance"
    kind = "alternative"

    def couple_optimally(self, data, noise):
        return linear_sum_assignment(cdist(noise, data, "cosine"))[1]


class GuidanceStartsAtOne:
    """The scale of the gradient is 1 + gamma in all functions."""

    truth = "the gradient is added 1 + gamma times"
    kind = "alternative"

    def classifier_score(self, score, gradient, gamma):
        return score + column(1 + gamma, score) * gradient

    def classifier_eps(self, eps, gradient, gamma, t, betas):
        return eps - noise_level(t, eps, betas) * column(1 + gamma, eps) * gradient


class NoiseGuidedUphill:
    """The sign of the gradient is that of the score."""

    truth = "eps + sigma gamma gradient: the sign is wrong"
    kind = "sign"

    def classifier_eps(self, eps, gradient, gamma, t, betas):
        return eps + noise_level(t, eps, betas) * column(gamma, eps) * gradient


class GuidedByTheVariance:
    """1 - alpha_bar without its root, as zhanyisun/lpb#2 asks for."""

    truth = "the gradient is multiplied by sigma^2, not sigma, in classifier_eps"
    kind = "power"

    def classifier_eps(self, eps, gradient, gamma, t, betas):
        return eps - column(gamma, eps) * noise_level(t, eps, betas) ** 2 * gradient


class NoiseGuidedLikeTheScore:
    """gamma gradient is taken off eps as it is."""

    truth = "sigma is missing in classifier_eps"
    kind = "term"

    def classifier_eps(self, eps, gradient, gamma, t, betas):
        return eps - column(gamma, eps) * gradient


class SignalForSigma:
    """sqrt(alpha_bar_t) before the gradient."""

    truth = "classifier_eps has sqrt(alpha_bar_t) for sqrt(1 - alpha_bar_t)"
    kind = "swap"

    def classifier_eps(self, eps, gradient, gamma, t, betas):
        kept = np.cumprod(1 - betas)[np.asarray(t) - 1]
        return eps - column(gamma, eps) * np.sqrt(column(kept, eps)) * gradient


class NoiseLevelOfOneBeta:
    """beta_t is taken for 1 - alpha_bar_t."""

    truth = "classifier_eps has sqrt(beta_t) of one step in place of sigma_t"
    kind = "swap"

    def classifier_eps(self, eps, gradient, gamma, t, betas):
        return eps - column(gamma, eps) * np.sqrt(column(betas[np.asarray(t) - 1], eps)) * gradient


class NoiseLevelOneStepLate:
    """A table that begins with t = 1, indexed by t, whose last entry serves twice."""

    truth = "sigma is that of t + 1 in classifier_eps"
    kind = "index"

    def classifier_eps(self, eps, gradient, gamma, t, betas):
        table = np.sqrt(1 - np.cumprod(1 - betas))
        return eps - column(gamma, eps) * column(table[np.minimum(t, len(betas) - 1)], eps) * gradient


class GammaOfTheFirst:
    """A batch of scales, of which the first serves all."""

    truth = "all examples use the gamma of the first"
    kind = "part"

    def classifier_score(self, score, gradient, gamma):
        return score + np.ravel(gamma)[0] * gradient

    def classifier_free(self, unconditional, conditional, gamma):
        return unconditional + np.ravel(gamma)[0] * (conditional - unconditional)


class GammaNeverNegative:
    """A scale below 0 is taken for a mistake of the user."""

    truth = "a negative gamma is clamped to 0"
    kind = "constant"

    def classifier_score(self, score, gradient, gamma):
        return score + column(np.maximum(gamma, 0), score) * gradient

    def classifier_free(self, unconditional, conditional, gamma):
        return unconditional + column(np.maximum(gamma, 0), conditional) * (conditional - unconditional)


class OtherPapersScale:
    """The two conventions of huggingface/diffusers#5882, each under the other's name."""

    truth = "classifier_free has the scale that starts at 0 and classifier_free_w the one that starts at 1"
    kind = "alternative"

    def classifier_free(self, unconditional, conditional, gamma):
        return conditional + column(gamma, conditional) * (conditional - unconditional)

    def classifier_free_w(self, unconditional, conditional, w):
        return unconditional + w * (conditional - unconditional)


class WrongSignOfTheSecondTerm:
    """The equation of labmlai/annotated_deep_learning_paper_implementations#177: s cond + (s - 1) uncond."""

    truth = "the unconditional prediction is added and not taken off"
    kind = "sign"

    def classifier_free(self, unconditional, conditional, gamma):
        gamma = column(gamma, conditional)
        return gamma * conditional + (gamma - 1) * unconditional


class HalvesOfTheBatchSwapped:
    """chunk(2) gives the halves in the other order."""

    truth = "the conditional and the unconditional prediction are swapped"
    kind = "swap"

    def classifier_free(self, unconditional, conditional, gamma):
        text, empty = np.split(np.concatenate([unconditional, conditional]), 2)
        return empty + column(gamma, text) * (text - empty)

    def classifier_free_w(self, unconditional, conditional, w):
        text, empty = np.split(np.concatenate([unconditional, conditional]), 2)
        return text + w * (text - empty)


class NoGuidanceUpToOne:
    """do_classifier_free_guidance = guidance_scale > 1: the conditional prediction alone otherwise."""

    truth = "gamma up to 1 gives the conditional prediction"
    kind = "branch"

    def classifier_free(self, unconditional, conditional, gamma):
        gamma = column(gamma, conditional)
        guided = unconditional + gamma * (conditional - unconditional)
        return np.where(gamma > 1, guided, conditional)


class RescaledGuidance:
    """The guided prediction gets the deviation of the conditional one back, by 0.7."""

    truth = "guidance rescale of 0.7, which nobody asked for"
    kind = "alternative"

    def classifier_free(self, unconditional, conditional, gamma):
        cfg = unconditional + column(gamma, conditional) * (conditional - unconditional)
        axes = tuple(range(1, cfg.ndim))
        factor = conditional.std(axis=axes, keepdims=True) / (cfg.std(axis=axes, keepdims=True) + 1e-12)
        return 0.7 * factor * cfg + 0.3 * cfg


class FirstHalfOfTheChannels:
    """Guidance of the first half of the channels; the rest, meant for learned variances, stays conditional."""

    truth = "only the first half of the last axis is guided"
    kind = "part"

    def classifier_free_w(self, unconditional, conditional, w):
        n = (conditional.shape[-1] + 1) // 2
        eps = (1 + w) * conditional[..., :n] - w * unconditional[..., :n]
        return np.concatenate([eps, conditional[..., n:]], axis=-1)


class GuidesInPlace:
    """*= and += on what the network returned."""

    truth = "the conditional prediction is overwritten"
    kind = "alias"
    found = False

    def classifier_free_w(self, unconditional, conditional, w):
        conditional -= unconditional
        conditional *= 1 + w
        conditional += unconditional
        return conditional


class GradientOfTheLoss:
    """Softmax less one-hot, as for training."""

    truth = "the gradient is that of the cross-entropy: the sign is the other one"
    kind = "sign"

    def classifier_gradient_linear(self, x, y, weight, bias):
        dz = softmax(x @ weight + bias, axis=1)
        dz[np.arange(len(y)), y] -= 1
        return dz @ weight.T


class GradientOfTheLogit:
    """The normalization of the softmax is left out."""

    truth = "the gradient of the label's logit: the mean over the classes is not taken off"
    kind = "term"

    def classifier_gradient_linear(self, x, y, weight, bias):
        return weight[:, y].T


class GradientOfTheBatchMean:
    """A loss with reduction mean, differentiated."""

    truth = "the gradient is divided by the number of examples"
    kind = "units"

    def classifier_gradient_linear(self, x, y, weight, bias):
        log_p = log_softmax(x @ weight + bias, axis=-1)
        return (np.eye(len(bias))[y] - np.exp(log_p)) / len(x) @ weight.T


class SoftmaxOverExamples:
    """axis=0."""

    truth = "the softmax runs over the batch"
    kind = "axis"

    def classifier_gradient_linear(self, x, y, weight, bias):
        return (np.eye(len(bias))[y] - softmax(x @ weight + bias, axis=0)) @ weight.T


class BiasForgotten:
    """Derivatives do not need the bias, it seems."""

    truth = "the bias is missing in the softmax"
    kind = "term"

    def classifier_gradient_linear(self, x, y, weight, bias):
        logits = np.einsum("bd,dk->bk", x, weight)
        expected = softmax(logits, axis=1) @ weight.T
        return np.take(weight.T, y, axis=0) - expected


class LabelsOfAnyNumber:
    """y == arange(K): a label that is none leaves a row of zeros."""

    truth = "labels out of range are not refused"
    kind = "check"

    def classifier_gradient_linear(self, x, y, weight, bias):
        hot = (y[:, None] == np.arange(len(bias))).astype(x.dtype)
        return (hot - softmax(x @ weight + bias, axis=1)) @ weight.T


class KeepsWhereItShouldDrop:
    """The mask is that of the kept labels."""

    truth = "labels are dropped where uniform >= probability"
    kind = "swap"

    def drop_labels(self, y, uniform, probability, no_label):
        if not 0 <= probability <= 1:
            raise ValueError
        return np.where(uniform < probability, y, no_label)


class DropsAtTheProbability:
    """<= for <."""

    truth = "a label is dropped where uniform equals the probability"
    kind = "branch"

    def drop_labels(self, y, uniform, probability, no_label):
        if probability < 0 or probability > 1:
            raise ValueError
        out = y.copy()
        out[uniform <= probability] = no_label
        return out


class DropsTheWholeBatch:
    """random() < p once, before the batch."""

    truth = "the first number decides for all examples"
    kind = "part"

    def drop_labels(self, y, uniform, probability, no_label):
        if not 0 <= probability <= 1:
            raise ValueError
        return np.full_like(y, no_label) if uniform[0] < probability else y


class NullLabelIsZero:
    """The null class is the first one."""

    truth = "dropped labels become 0, not no_label, and a probability above 1 is accepted"
    kind = "two"

    def drop_labels(self, y, uniform, probability, no_label):
        return y * (uniform >= probability)


class DropsInPlace:
    """The labels of the data set are changed for good."""

    truth = "y is overwritten"
    kind = "alias"
    found = False

    def drop_labels(self, y, uniform, probability, no_label):
        if not 0 <= probability <= 1:
            raise ValueError
        y[uniform < probability] = no_label
        return y


class MeansNotScaled(Mixture):
    """The components stay at the places of the data."""

    truth = "sqrt(alpha_bar_t) is missing before the means"
    kind = "term"

    def _parts(self, x, t, means, variance, betas):
        width = self._width(self._signal(t, betas), variance)
        delta = means - x[:, None]
        return delta / width, self._posterior(delta, width)


class MeansScaledByAlphaBar(Mixture):
    """alpha_bar for its root before the means; the width is right."""

    truth = "the means are multiplied by alpha_bar_t, not by its root"
    kind = "power"

    def _parts(self, x, t, means, variance, betas):
        signal = self._signal(t, betas)
        width = self._width(signal, variance)
        delta = signal**2 * means - x[:, None]
        return delta / width, self._posterior(delta, width)


class WidthOfTheNoiseOnly(Mixture):
    """The data are points."""

    truth = "the width is 1 - alpha_bar_t: the components' own variance is left out"
    kind = "term"

    def _width(self, signal, variance):
        return 1 - signal**2


class WidthKeepsTheVariance(Mixture):
    """The variance of the data does not shrink with the signal."""

    truth = "the width is variance + 1 - alpha_bar_t"
    kind = "term"

    def _width(self, signal, variance):
        return variance + 1 - signal**2


class VarianceTakenForADeviation(Mixture):
    """variance^2 in the width."""

    truth = "the components' variance is squared, as if it were a deviation"
    kind = "power"

    def _width(self, signal, variance):
        return (signal * variance) ** 2 + 1 - signal**2


class ExponentWithoutHalf(Mixture):
    """exp(-d^2 / width)."""

    truth = "the factor 1/2 is missing in the exponent of the chances"
    kind = "factor"

    def _posterior(self, delta, width):
        weights = np.exp(-np.square(delta).sum(2) / width)
        return weights / weights.sum(1, keepdims=True)


class NearestComponentOnly(Mixture):
    """argmax for the expectation."""

    truth = "only the most likely component counts"
    kind = "alternative"

    def _posterior(self, delta, width):
        return np.eye(delta.shape[1])[np.argmin(np.sum(delta**2, axis=-1), axis=1)]


class AllComponentsAlike(Mixture):
    """The prior's weights."""

    truth = "the scores are averaged with equal weights, not by p(k | x)"
    kind = "term"

    def _posterior(self, delta, width):
        return np.full(delta.shape[:2], 1 / delta.shape[1])


class ChancesOverTheBatch(Mixture):
    """The weights are normalized along the wrong axis."""

    truth = "the chances sum to 1 over the examples, not over the components"
    kind = "axis"

    def _posterior(self, delta, width):
        return softmax(-0.5 * np.sum(delta**2, axis=-1) / width, axis=0)


class ChancesUnderflow(Mixture):
    """Densities with a floor of 1e-6 before they are normalized."""

    truth = "1e-6 is added to the sum of the densities"
    kind = "constant"

    def _posterior(self, delta, width):
        density = np.exp(-0.5 * np.sum(delta**2, axis=-1) / width)
        return density / (density.sum(axis=1, keepdims=True) + 1e-6)


class MixtureOneStepEarly(Mixture):
    """betas[:t - 1]: the product stops before beta_t."""

    truth = "alpha_bar of t - 1 is used in the mixture"
    kind = "index"

    def _signal(self, t, betas):
        return np.sqrt(np.prod(1 - betas[: t - 1]))


class ScoreOfTheClassAlone(Mixture):
    """The class gradient is the score of the component."""

    truth = "the mixture's score is not taken off the component's in the class gradient"
    kind = "term"

    def mixture_class_gradient(self, x, t, y, means, variance, betas):
        if np.any((y < 0) | (y >= len(means))):
            raise IndexError
        return self._parts(x, t, means, variance, betas)[0][np.arange(len(y)), y]


class ClassesFromOne(Mixture):
    """The labels of another data set."""

    truth = "y is read as counted from 1 (and 0 as the last class)"
    kind = "index"

    def mixture_class_gradient(self, x, t, y, means, variance, betas):
        if y.max() >= len(means):
            raise IndexError
        pulls, chances = self._parts(x, t, means, variance, betas)
        return np.take_along_axis(pulls, (y - 1)[:, None, None] % len(means), axis=1)[:, 0] - np.einsum("bk,bkd->bd", chances, pulls)


class ClassOutOfRangeWraps(Mixture):
    """np.take with mode="wrap"."""

    truth = "a class that does not exist is taken modulo the number of classes"
    kind = "check"

    def mixture_class_gradient(self, x, t, y, means, variance, betas):
        return super().mixture_class_gradient(x, t, y % len(means), means, variance, betas)


class ReversedAndHalved(Path):
    """Two mistakes: time runs from data to noise, and the loss is a mean."""

    truth = "data are at t = 0, and the loss is a mean over the event"
    kind = "two"

    def _schedule(self, t, path):
        return super()._schedule(t, path)[::-1]

    def _rates(self, t, path):
        rise, fall = super()._rates(t, path)
        return fall, rise

    def conditional_loss(self, prediction, data, noise, t, path):
        return super().conditional_loss(prediction, data, noise, t, path) / data[0].size


class WrongScoreAndWrongV(Kinds):
    """Two mistakes: the score is not divided by sigma, and v has the other sign."""

    truth = "score = -eps, and v = sigma x0 - signal eps, where they are asked for"
    kind = "two"

    def _answer(self, data, noise, a, b, da, db, kind):
        if kind == "score":
            return -noise
        if kind == "v":
            return b * data - a * noise
        return super()._answer(data, noise, a, b, da, db, kind)


class GuidanceInSingles(Mixture):
    """float32 throughout the mixture, as a network's input would be."""

    truth = "the mixture is computed in float32"
    kind = "dtype"

    def _parts(self, x, t, means, variance, betas):
        x, means, betas = (v.astype(np.float32) for v in (x, means, betas))
        return super()._parts(x, t, means, np.float32(variance), betas)


class RightPath(Path, Kinds, Mixture):
    """The parts from which others in this file are derived, as they are."""

    truth = ""
    kind = "right"


class RightByComplexNumbers:
    """Right: data and noise as the imaginary and the real part of a turning pointer, or of a straight one."""

    truth = ""
    kind = "right"

    def interpolate(self, data, noise, t, path):
        in_unit(t)
        t = column(t, data)
        pointer = (1 - t) + 1j * t if path == "straight" else np.exp(0.5j * np.pi * t)
        return (np.conj(pointer) * (noise + 1j * data)).real

    def velocity(self, data, noise, t, path):
        in_unit(t)
        t = column(t, data)
        rate = np.full_like(t, 1, dtype=complex) * (-1 + 1j) if path == "straight" else 0.5j * np.pi * np.exp(0.5j * np.pi * t)
        return (np.conj(rate) * (noise + 1j * data)).real

    def conditional_loss(self, prediction, data, noise, t, path):
        p, u = (v.reshape(len(data), -1) for v in (prediction, self.velocity(data, noise, t, path)))
        return np.array([np.vdot(d, d) for d in p - u])


class RightByLinearAlgebra:
    """Right: every conversion solves two equations, the state's and the prediction's, for data and noise."""

    truth = ""
    kind = "right"

    def convert_on_path(self, prediction, x_t, t, path, source, to):
        if not (np.min(t) > 0 and np.max(t) < 1):
            raise ValueError("the ends of the path")
        out = np.empty_like(x_t)
        for i, time in enumerate(np.broadcast_to(t, len(x_t))):
            angle = HALF_PI * time
            state = np.array([time, 1 - time] if path == "straight" else [np.sin(angle), np.cos(angle)])
            rate = np.array([1.0, -1.0]) if path == "straight" else HALF_PI * np.array([np.cos(angle), -np.sin(angle)])
            rows = {"x0": [1, 0], "eps": [0, 1], "v": [-state[1], state[0]], "score": [0, -1 / state[1]], "velocity": rate}
            both = np.linalg.solve(np.array([state, rows[source]], dtype=float), np.stack([x_t[i].ravel(), prediction[i].ravel()]))
            out[i] = (np.asarray(rows[to]) @ both).reshape(x_t[i].shape)
        return out


class RightByScipy:
    """Right: logit, expit, and the assignment problem's own solver."""

    truth = ""
    kind = "right"

    def flow_time(self, log_snr):
        return 0.5 * (1 + np.tanh(np.asarray(log_snr) / 4))

    def flow_log_snr(self, tau):
        return logit(tau) / 0.5

    def from_flow(self, x_tau, tau):
        return x_tau / np.hypot(column(tau, x_tau), 1 - column(tau, x_tau))

    def to_flow(self, x_t, signal, sigma):
        scale = np.stack(np.broadcast_arrays(signal, sigma)).sum(axis=0)
        if not np.all(scale):
            raise ZeroDivisionError
        return (x_t.T / scale).T

    def couple_optimally(self, data, noise):
        overlap = noise.reshape(len(noise), -1) @ data.reshape(len(data), -1).T
        return linear_sum_assignment(overlap, maximize=True)[1]


class RightGuidance:
    """Right: every guidance as a step from one prediction to the other, weights moved to where they are least expected."""

    truth = ""
    kind = "right"

    def classifier_score(self, score, gradient, gamma):
        return np.moveaxis(np.moveaxis(score, 0, -1) + gamma * np.moveaxis(gradient, 0, -1), -1, 0)

    def classifier_eps(self, eps, gradient, gamma, t, betas):
        log_kept = np.append(0.0, np.cumsum(np.log1p(-betas)))[t]
        scale = gamma * np.sqrt(-np.expm1(log_kept))
        return np.moveaxis(np.moveaxis(eps, 0, -1) - scale * np.moveaxis(gradient, 0, -1), -1, 0)

    def classifier_free(self, unconditional, conditional, gamma):
        return conditional + column(np.subtract(gamma, 1), conditional) * (conditional - unconditional)

    def classifier_free_w(self, unconditional, conditional, w):
        return np.tensordot([-w, 1 + w], [unconditional, conditional], axes=1)

    def classifier_gradient_linear(self, x, y, weight, bias):
        if np.any(y < 0):
            raise IndexError
        chosen = weight.T[y]
        p = np.exp(log_softmax(x @ weight + bias, axis=1))
        return (p[:, :, None] * (chosen[:, None, :] - weight.T)).sum(axis=1)

    def drop_labels(self, y, uniform, probability, no_label):
        if abs(probability - 0.5) > 0.5:
            raise ValueError
        keep = np.floor(uniform - probability).astype(int) + 1
        return keep * y + (1 - keep) * no_label


class RightMixtureByResponsibilities:
    """Right: the mixture's score from the expected mean, by log densities summed coordinate by coordinate."""

    truth = ""
    kind = "right"

    def mixture_score(self, x, t, means, variance, betas):
        kept = np.prod(1 - betas[:t])
        width = 1 - kept * (1 - variance)
        log_weight = np.zeros((len(x), len(means)))
        for j in range(x.shape[1]):
            log_weight -= np.subtract.outer(x[:, j], np.sqrt(kept) * means[:, j]) ** 2 / (2 * width)
        expected = softmax(log_weight, axis=1) @ means
        return (np.sqrt(kept) * expected - x) / width

    def mixture_class_gradient(self, x, t, y, means, variance, betas):
        if not set(y.tolist()) <= set(range(len(means))):
            raise KeyError
        kept = np.prod(1 - betas[:t])
        own = (np.sqrt(kept) * means[y] - x) / (1 - kept * (1 - variance))
        return own - self.mixture_score(x, t, means, variance, betas)
