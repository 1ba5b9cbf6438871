"""Dialects: the conventions of real libraries, and converters from refdiff's conventions ("to") and back ("from").

A `Dialect` names one choice per convention, or None if none was verified. The meaning of each choice is in `choices`,
and the dialects are in `table`. `x_t`, `t` and `path` are always refdiff's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...arrays import Array, GaussianPath, Number, Time, as_array, holds, like
from ...checks import check_arrays, check_choice, check_integer, check_number
from ...process import predict, schedules
from ...process.forward import posterior_variance
from ...process.tables import Schedule
from . import choices
from .features import Features


@dataclass(frozen=True)
class Dialect:
    """The conventions of one library. Each entry of `sources` pairs the names of conventions, separated by commas, with the
    file and the name in which they are visible.
    """

    name: str
    version: str
    time: str | None = None
    state: str | None = None
    prediction: str | None = None
    final: str | None = None
    grid: str | None = None
    guidance: str | None = None
    loss: str | None = None
    elbo: str | None = None
    features: Features | None = None
    variance: str | None = None
    mix: str | None = None
    floor: str | None = None
    sources: tuple[tuple[str, str], ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        for convention in self.conventions():
            if convention != "features":
                check_choice(convention, self.stated(convention), tuple(choices.CHOICES[convention]))
        if self.features is not None:
            self.features.check()

    def conventions(self) -> tuple[str, ...]:
        """The names of the conventions that are stated."""
        return tuple(name for name in CONVENTIONS if getattr(self, name) is not None)

    def stated(self, convention: str) -> str:
        """The choice of a convention. Raises if it is unstated."""
        choice = getattr(self, convention)
        if choice is None:
            raise self._unstated(convention)
        return str(choice)

    def to_time(self, t: Time, path: GaussianPath) -> Array:
        """refdiff's t on this path as the dialect's time. Raises where there is none, such as an index for clean data."""
        return choices.TIMES[self.stated("time")].from_refdiff(t, path)

    def from_time(self, time: Time, path: GaussianPath) -> Array:
        """The dialect's time as refdiff's t; for a schedule, the t whose log-SNR is nearest.

        Near 1, where floating-point numbers are 1e-16 apart, a noise time cannot distinguish levels with less signal than that.
        """
        return choices.TIMES[self.stated("time")].to_refdiff(time, path)

    def to_state(self, x_t: Array, t: Time, path: GaussianPath) -> Array:
        r"""The state in the dialect's scale, $x_t / N$ with the N of `choices.STATES`: signal and sigma are divided by the same factor."""
        check_arrays(x_t=x_t)
        return x_t / like(self._norm(t, path), x_t)

    def from_state(self, state: Array, t: Time, path: GaussianPath) -> Array:
        """A state of the dialect in the scale of the path, times N."""
        check_arrays(state=state)
        return state * like(self._norm(t, path), state)

    def to_prediction(self, prediction: Array, x_t: Array, t: Time, path: GaussianPath, kind: str = "eps") -> Array:
        r"""refdiff's prediction of this kind as the output of the dialect's network.

        A state divided by N has a score multiplied by N, and v is that of the variance-preserving state.
        Source: R6 [Salimans & Ho app. D].
        """
        target, sign = choices.PREDICTIONS[self.stated("prediction")]
        return predict.convert(prediction, x_t, t, path, kind, target) * like(sign * self._stretch(target, t, path), x_t)

    def from_prediction(self, prediction: Array, x_t: Array, t: Time, path: GaussianPath, kind: str = "eps") -> Array:
        """The dialect's prediction as refdiff's of this kind. Source: R6 [Salimans & Ho app. D]."""
        source, sign = choices.PREDICTIONS[self.stated("prediction")]
        check_arrays(x_t=x_t, prediction=prediction)
        return predict.convert(prediction / like(sign * self._stretch(source, t, path), x_t), x_t, t, path, source, kind)

    def to_scale(self, gamma: Number) -> Number:
        """The dialect's guidance scale. Source: G3 [Ho & Salimans eq. 6]."""
        check_number("gamma", gamma)
        return choices.SCALES[self.stated("guidance")][0](gamma)

    def from_scale(self, scale: Number) -> Number:
        """The guidance scale gamma. Source: G3 [Ho & Salimans eq. 6]."""
        check_number("scale", scale)
        return choices.SCALES[self.stated("guidance")][1](scale)

    def to_loss(self, loss: Array, size: int) -> Array:
        """A squared error summed over an event of `size` numbers, with the reduction of the dialect; a mean over the
        batch is not included.
        """
        return _scaled("loss", loss, choices.LOSSES[self.stated("loss")](_size(size)))

    def from_loss(self, loss: Array, size: int) -> Array:
        """The dialect's squared error, as the sum over the event."""
        return _scaled("loss", loss, 1 / choices.LOSSES[self.stated("loss")](_size(size)))

    def to_elbo(self, nats: Array, size: int) -> Array:
        """A term of the ELBO, in nats over an event of `size` numbers, in the dialect's unit."""
        return _scaled("nats", nats, choices.ELBO_UNITS[self.stated("elbo")](_size(size)))

    def from_elbo(self, elbo: Array, size: int) -> Array:
        """A term of the ELBO in the dialect's unit, in nats."""
        return _scaled("elbo", elbo, 1 / choices.ELBO_UNITS[self.stated("elbo")](_size(size)))

    def to_mix(self, mix: Array) -> Array:
        """The network's output for a learned variance, given refdiff's mix in [0, 1]. Source: R4 [Improved DDPM eq. 15]."""
        check_arrays(mix=mix)
        return choices.MIXES[self.stated("mix")][0](mix)

    def from_mix(self, output: Array) -> Array:
        """refdiff's mix, given the network's output. Source: R4 [Improved DDPM eq. 15]."""
        check_arrays(output=output)
        return choices.MIXES[self.stated("mix")][1](output)

    def time_features(self, time: Array, features: int) -> Array:
        r"""The dialect's features of its own time (B,), as the inputs of its network; (B, features) float64.

        $$[\sin(u\, \omega_i), \cos(u\, \omega_i)], \qquad \omega_i = 10000^{-i / divisor}$$

        or the halves in the other order; u is the argument. Source: N1 [Transformer sec. 3.5], [DDPM app. B].
        """
        return self._layout().of_time(time, features)

    def to_features(self, features: Array) -> Array:
        """refdiff's features (B, F) in the dialect's order.

        Raises if its frequencies differ, since no permutation converts them.
        """
        check_arrays(features=features)
        layout = self._layout()
        if layout.divisor != "half - 1":
            raise ValueError(
                f"features of {self.name} divide by {layout.divisor!r}; allowed for a permutation: 'half - 1'; see time_features"
            )
        return layout.ordered(np.split(features, 2, axis=1))

    def from_features(self, features: Array) -> Array:
        """The dialect's features in refdiff's order: swapping the halves is its own inverse."""
        return self.to_features(features)

    def final_alpha_bar(self, schedule: Schedule) -> float:
        """The final alpha_bar of the dialect's samplers: 1, or that of t = 1. Source: S2 [DDIM eq. 12]."""
        return float(schedule.alpha_bar[choices.FINALS[self.stated("final")]])

    def times(self, T: int, S: int) -> Array:
        """refdiff's time grid of the same rule, which ends in 0. Raises if refdiff has no such rule."""
        rule = choices.GRIDS[self.stated("grid")]
        if rule is None:
            raise ValueError(f"grid = {self.grid!r} is not among refdiff's; allowed: {', '.join(k for k, v in choices.GRIDS.items() if v)}")
        return schedules.grid(rule, T, S)

    def log_variance(self, schedule: Schedule) -> Array:
        r"""$\log\tilde\beta_t$ for t = 1..T as the dialect tabulates it, finite although $\tilde\beta_1 = 0$; (T,). Source: R2 [DDPM eq. 7]."""
        t = np.arange(1, schedule.T + 1)
        return np.log(choices.FLOORS[self.stated("floor")](posterior_variance(t, t - 1, schedule)))

    def _layout(self) -> Features:
        if self.features is None:
            raise self._unstated("features")
        return self.features

    def _unstated(self, convention: str) -> ValueError:
        return ValueError(f"{convention} = None, unstated, for {self.name}; allowed: {', '.join(self.conventions())}")

    def _norm(self, t: Time, path: GaussianPath) -> Array:
        norm = choices.STATES[self.stated("state")](*path.signal_sigma(t))
        if not holds(norm > 0):
            raise ValueError(f"t = {t!r} has no {self.state} state; allowed: times where signal is above 0")
        return norm

    def _stretch(self, kind: str, t: Time, path: GaussianPath) -> Array:
        if kind == "score":
            return self._norm(t, path)
        signal, sigma = path.signal_sigma(t)
        return 1 / np.hypot(signal, sigma) if kind == "v" else np.ones_like(signal)


CONVENTIONS = tuple(Dialect.__annotations__)[2:-2]


def _size(size: int) -> int:
    return int(check_integer("size", size, 1, 2**53))


def _scaled(name: str, values: Array, factor: float) -> Array:
    check_number(name, values)
    return as_array(values) * float(factor)
