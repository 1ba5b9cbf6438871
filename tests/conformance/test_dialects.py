"""Dialects: every choice by its definition, there and back, and what a conversion must leave alone: data, noise, guided answers, losses."""

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff import cli, elbo, flow, forward, guidance, layers, predict, reverse, schedules
from refdiff.conformance.dialects import choices, page
from refdiff.conformance.dialects.dialect import CONVENTIONS, Dialect
from refdiff.conformance.dialects.features import Features
from refdiff.conformance.dialects.table import DIALECTS

from ..docs import test_references
from ..strategies import DTYPES, Case, arrays, case, schedule, shapes
from ..tolerances import IDENTITY, in_eps, roundings

# Every choice of every convention alone, beside the dialects that combine them: none is tested only through the libraries that made it.
ALONE = [Dialect(f"{field} = {choice}", "", **{field: choice}) for field, names in choices.CHOICES.items() for choice in names]
ALONE += [
    dataclasses.replace(DIALECTS["refdiff"], name=f"{state}, {prediction}", state=state, prediction=prediction)
    for state in choices.STATES
    for prediction in choices.PREDICTIONS
]
LAYOUTS = [Features(order, divisor, argument) for order in choices.ORDERS for divisor in choices.DIVISORS for argument in choices.ARGUMENTS]
ALL = [*DIALECTS.values(), *ALONE, *(Dialect(str(layout), "", features=layout) for layout in LAYOUTS)]
TABLE = schedules.from_betas([0.1, 0.2, 0.3, 0.05])  # alpha_bar 0.9, 0.72, 0.504, 0.4788
SIGNAL, SIGMA = np.sqrt(0.504), np.sqrt(0.496)  # at t = 3


def having(*conventions):
    """The dialects, and the choices alone, that state all of these."""
    return st.sampled_from([dialect for dialect in ALL if set(conventions) <= set(dialect.conventions())])


@st.composite
def flow_case(draw):
    """A `Case` of x0 and eps on the straight path, well inside it."""
    shape, dtype = draw(shapes), draw(st.sampled_from(DTYPES))
    inside = st.floats(0.001, 0.999)
    t = np.array([draw(inside) for _ in range(shape[0])]) if draw(st.booleans()) else draw(inside)
    return Case(flow.straight, t, None, [draw(arrays(shape, dtype)) for _ in range(2)])


def tame(drawn):
    """Signal and sigma at least 1e-2, so that an inverse conversion magnifies roundings at most a few hundred times."""
    return np.min(drawn.schedule.signal_sigma(drawn.t)) > 1e-2


cases = st.one_of(case(2, low=0).filter(tame), flow_case())


def columns(drawn):
    """Signal and sigma in float64, shaped to multiply the arrays."""
    return [drawn.column(value) for value in drawn.schedule.signal_sigma(drawn.t)]


def noised(drawn):
    """x_t in the arrays' precision."""
    (signal, sigma), (x0, eps) = columns(drawn), drawn.arrays
    return (signal * x0 + sigma * eps).astype(x0.dtype)


def test_every_stated_convention_names_where_it_is_visible():
    """Each dialect has a version, and sources for exactly the conventions it states."""
    for name, dialect in DIALECTS.items():
        cited = [field for fields, where in dialect.sources for field in fields.split(", ") if ".py" in where]
        assert sorted(cited) == sorted(dialect.conventions()) and name == dialect.name and dialect.version
    wanted = [
        "diffusers",
        "guided_diffusion",
        "k_diffusion",
        "edm",
        "flow_matching",
        "torchcfm",
        "lucidrains",
        "smalldiffusion",
        "vdm",
        "score_sde_ve",
    ]
    assert set(wanted) <= set(DIALECTS)


def test_every_choice_is_of_the_table():
    """A choice outside the table is refused by name, in any convention."""
    for field, names in choices.CHOICES.items():
        assert names
        with pytest.raises(ValueError, match=re.escape(f"{field} = 'mine'; allowed: {next(iter(names))}")):
            Dialect("mine", "", **{field: "mine"})
    for wrong in (("mine", "half", "t"), ("sin, cos", "mine", "t"), ("sin, cos", "half", "mine")):
        with pytest.raises(ValueError, match="features = 'mine'; allowed: "):
            Dialect("mine", "", features=Features(*wrong))


def test_every_tag_resolves():
    """The works that the converters cite are in docs/references.md."""
    found = [
        tag
        for path in (test_references.ROOT / "refdiff" / "conformance" / "dialects").glob("*.py")
        for tag in test_references.tags(path.read_text())
    ]
    assert len(found) >= 10 and [tag for tag in found if test_references.reference(tag) is None] == []


@pytest.mark.parametrize("name", DIALECTS)
def test_unstated_conventions_are_refused(name):
    """A converter of a convention that the dialect leaves open names it, and those it has."""
    dialect = DIALECTS[name]
    unstated = [field for field in CONVENTIONS if field not in dialect.conventions() and field != "features"]
    for field in unstated:
        with pytest.raises(
            ValueError, match=re.escape(f"{field} = None, unstated, for {name}; allowed: {', '.join(dialect.conventions())}")
        ):
            dialect.stated(field)
    if dialect.features is None:
        with pytest.raises(ValueError, match="features = None, unstated"):
            dialect.time_features(np.ones(2), 8)


# Time


@given(having("time"), schedule(max_T=60), st.data())
def test_time_of_a_schedule_there_and_back(dialect, table, data):
    """Every t that a dialect can name comes back as itself, alone and in a batch; a noise time near 1 resolves no signal below 1e-16."""
    named = np.arange(1, table.T + 1)[table.signal[1:] > 1e-8]  # a rounding of 1e-16 moves such a log-SNR by 1e-8, a beta by 1e-5 or more
    if dialect.time == "unit index" and table.T == 1:
        with pytest.raises(ValueError, match="path is a Schedule of T = 1; allowed here: a Schedule of T >= 2"):
            dialect.to_time(1, table)
        return
    assert np.array_equal(dialect.from_time(dialect.to_time(named, table), table), named)
    t = data.draw(st.sampled_from(list(named)))
    assert dialect.from_time(dialect.to_time(t, table), table) == t
    if dialect.time not in ("index", "unit index", "-log SNR"):
        assert dialect.from_time(dialect.to_time(0, table), table) == 0


@given(
    st.sampled_from([name for name in choices.TIMES if "noise" in name or name in ("data time", "sigma", "-log SNR")]),
    st.floats(0.001, 0.999),
)
def test_time_of_the_straight_path_there_and_back(name, t):
    """M5: on the straight path a noise level is a time, up to a few roundings of a quotient or an exponential."""
    dialect = Dialect("", "", time=name)
    back = dialect.from_time(dialect.to_time(t, flow.straight), flow.straight)
    assert abs(back - t) <= 32 * np.finfo(float).eps
    assert dialect.to_time(np.array([t], np.float32), flow.straight).dtype == np.float32


def test_times_by_hand():
    """Each clock at t = 3 of T = 4, and at flow time 1/4."""
    at = {name: float(Dialect("", "", time=name).to_time(3, TABLE)) for name in choices.TIMES}
    ratio = SIGMA / SIGNAL
    assert at == pytest.approx(
        {
            "step": 3,
            "index": 2,
            "unit index": 2 / 3,
            "sigma": ratio,
            "-log SNR": np.log(0.496 / 0.504),
            "data time": 1 / (1 + ratio),
            "noise time": ratio / (1 + ratio),
            "1000 noise time": 1000 * ratio / (1 + ratio),
        },
        rel=1e-14,
    )
    quarter = {
        name: float(Dialect("", "", time=name).to_time(0.25, flow.straight))
        for name in ("sigma", "data time", "noise time", "1000 noise time")
    }
    assert quarter == {"sigma": 3, "data time": 0.25, "noise time": 0.75, "1000 noise time": 750}


def test_a_noise_level_between_two_times_goes_to_the_nearer():
    """Nearest in log-SNR, ends included, with and without signal at T."""
    sigma = Dialect("", "", time="sigma")
    levels = np.exp(-TABLE.log_snr[1:] / 2)
    middle = np.sqrt(levels[1:] * levels[:-1])
    assert list(sigma.from_time(middle * 1.01, TABLE)) == [2, 3, 4] and list(sigma.from_time(middle * 0.99, TABLE)) == [1, 2, 3]
    assert list(sigma.from_time(np.array([0, 1e-300, 1e300]), TABLE)) == [0, 1, 4]
    bare = schedules.zero_terminal_snr(TABLE)
    time = Dialect("", "", time="data time")
    assert list(time.from_time(np.array([0.0, 1e-9, 1 - 1e-9, 1.0]), bare)) == [4, 3, 1, 0]
    assert np.array_equal(time.from_time(time.to_time(np.arange(5), bare), bare), np.arange(5))
    single = schedules.from_betas([1.0])
    assert list(time.from_time(np.array([1.0, 0.0]), single)) == [0, 1]


@pytest.mark.parametrize(
    ("name", "call", "message"),
    [
        ("diffusers", lambda d: d.to_time(0, TABLE), r"t = 0; allowed: 1..4"),
        ("diffusers", lambda d: d.from_time(4, TABLE), r"time = 4; allowed: 0..3"),
        ("diffusers", lambda d: d.from_time(-1, TABLE), r"time = -1; allowed: 0..3"),
        ("refdiff", lambda d: d.from_time(5, TABLE), r"time = 5; allowed: 0..4"),
        ("diffusers", lambda d: d.to_time(0.5, flow.straight), r"path is the path 'straight'; allowed here: a Schedule of T >= 1"),
        ("edm", lambda d: d.from_time(1.0, flow.trigonometric), r"path is the path 'trigonometric'; allowed here"),
        ("edm", lambda d: d.from_time(-0.5, TABLE), r"time = -0.5; allowed: finite, in \[0, inf\]"),
        ("edm", lambda d: d.from_time(np.nan, TABLE), r"time = nan; allowed"),
        ("edm", lambda d: d.to_time(0.0, flow.straight), r"signal = .*0\.\)?; allowed: above 0"),
        ("vdm", lambda d: d.to_time(0, TABLE), r"sigma = .*; allowed: above 0"),
        ("flow_matching", lambda d: d.from_time(1.5, flow.straight), r"time = 1.5; allowed: finite, in \[0, 1\]"),
        ("diffusers_flow", lambda d: d.from_time(1001, flow.straight), r"time = 1001; allowed: finite, in \[0, 1000\]"),
        ("score_sde_vp", lambda d: d.from_time(1.1, TABLE), r"time = 1.1; allowed: finite, in \[0, 1\]"),
    ],
)
def test_times_outside_are_refused(name, call, message):
    """A time that a dialect, or refdiff, has no name for is an error with its value."""
    with pytest.raises(ValueError, match=message):
        call(DIALECTS[name])


# States


@given(having("state"), cases)
def test_states_are_the_same_data_and_noise_in_the_dialects_scale(dialect, drawn):
    """A converted state is made of the same x0 and eps, in the coefficients by which the scale is defined; and it comes back."""
    x_t, (signal, sigma), (x0, eps) = noised(drawn), columns(drawn), drawn.arrays
    parts = {
        "as the path": (signal, sigma),
        "preserving": (1 / np.sqrt(1 + (sigma / signal) ** 2), 1 / np.sqrt(1 + (signal / sigma) ** 2)),
        "exploding": (1.0, sigma / signal),
        "straight": (1 / (1 + sigma / signal), 1 / (1 + signal / sigma)),
    }[dialect.state]
    state = dialect.to_state(x_t, drawn.t, drawn.schedule)
    terms = (parts[0] * abs(x0.astype(float)), parts[1] * abs(eps.astype(float)))
    assert in_eps(state, parts[0] * x0.astype(float) + parts[1] * eps.astype(float), *terms) <= IDENTITY
    back = dialect.from_state(state, drawn.t, drawn.schedule)
    assert in_eps(back, x_t) <= IDENTITY and state.dtype == back.dtype == x0.dtype


def test_a_variance_exploding_state_needs_signal():
    """Where no signal is left x / signal does not exist."""
    with pytest.raises(ValueError, match="t = 4 has no exploding state; allowed: times where signal is above 0"):
        DIALECTS["edm"].to_state(np.ones((1, 2)), 4, schedules.zero_terminal_snr(TABLE))
    assert np.array_equal(DIALECTS["diffusers_flow"].to_state(np.ones((1, 2)), 4, schedules.zero_terminal_snr(TABLE)), np.ones((1, 2)))


# Predictions


def by_definition(dialect, drawn):
    """What the dialect's network should answer for this x0 and eps, written in the dialect's own scale."""
    (signal, sigma), (x0, eps) = columns(drawn), (value.astype(float) for value in drawn.arrays)
    if dialect.prediction in ("v", "-v"):
        turn = np.hypot(signal, sigma)
        v = signal / turn * eps - sigma / turn * x0
        return v if dialect.prediction == "v" else -v
    own = {
        "as the path": sigma,
        "preserving": sigma / np.hypot(signal, sigma),
        "exploding": sigma / signal,
        "straight": sigma / (signal + sigma),
    }
    if dialect.prediction == "score":
        return -eps / own[dialect.state]
    return {"eps": eps, "x0": x0, "data - noise": x0 - eps, "noise - data": eps - x0}[dialect.prediction]


@pytest.mark.parametrize("prediction", choices.PREDICTIONS)
@given(st.integers(0, 1000), cases, st.sampled_from(predict.KINDS))
def test_predictions_stand_for_the_same_data_and_noise(prediction, number, drawn, kind):
    """R6: refdiff's prediction, converted, is the dialect's by definition; converted back, it is refdiff's target of any kind."""
    fitting = [dialect for dialect in ALL if dialect.prediction == prediction and dialect.state]
    dialect = fitting[number % len(fitting)]
    x_t, (signal, sigma), (x0, eps) = noised(drawn), columns(drawn), drawn.arrays
    ours = predict.target(kind, x0, eps, drawn.t, drawn.schedule)
    theirs = dialect.to_prediction(ours, x_t, drawn.t, drawn.schedule, kind)
    wanted = by_definition(dialect, drawn)
    magnified = 16 * float(np.max(1 / np.minimum(signal, sigma))) ** 2  # x0 from eps and eps from x0 divide by signal and sigma
    assert roundings(theirs, wanted, x0, eps) <= IDENTITY * magnified
    back = dialect.from_prediction(wanted.astype(x0.dtype), x_t, drawn.t, drawn.schedule, kind)
    assert roundings(back, ours, x0, eps) <= IDENTITY * magnified
    assert theirs.dtype == back.dtype == x0.dtype and theirs.shape == x0.shape


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("diffusers", 0.5),
        ("diffusers_learned", SIGNAL * 0.5 - SIGMA * 2),
        ("diffusers_flow", 0.5 - 2),
        ("guided_diffusion", 0.5),
        ("k_diffusion", 2),
        ("edm", 2),
        ("flow_matching", 2 - 0.5),
        ("torchcfm", 2 - 0.5),
        ("lucidrains", SIGNAL * 0.5 - SIGMA * 2),
        ("lucidrains_flow", 2 - 0.5),
        ("smalldiffusion", 0.5),
        ("smalldiffusion_flow", 0.5 - 2),
        ("vdm", 0.5),
        ("score_sde_ve", -0.5 * SIGNAL / SIGMA),
        ("score_sde_vp", 0.5),
    ],
)
def test_signs_by_hand(name, wanted):
    """What each library's network predicts for x0 = 2, eps = 1/2 at t = 3: signs and directions written down, not derived."""
    x0, eps = np.array([[2.0]]), np.array([[0.5]])
    x_t = forward.q_sample(x0, 3, TABLE, eps)
    assert DIALECTS[name].to_prediction(eps, x_t, 3, TABLE).item() == pytest.approx(wanted, rel=1e-14)


def test_edm_network_with_unit_data_makes_minus_v():
    """k_diffusion's note: x0 = c_skip x + c_out F with sigma_data = 1, c_out = sigma / sqrt(sigma^2 + 1), makes F = -v."""
    x0, eps = np.array([[2.0, -1.0]]), np.array([[0.5, 0.25]])
    x_t = forward.q_sample(x0, 3, TABLE, eps)
    s, x = SIGMA / SIGNAL, DIALECTS["k_diffusion"].to_state(x_t, 3, TABLE)
    network = (x0 - x / (s**2 + 1)) / (s / np.sqrt(s**2 + 1))
    minus_v = Dialect("", "", prediction="-v").to_prediction(eps, x_t, 3, TABLE)
    assert network == pytest.approx(minus_v, rel=1e-13)


# Guidance, losses, learned variances


@given(having("guidance"), cases, st.floats(-2, 8))
def test_guided_answers_agree(dialect, drawn, gamma):
    """G3: the dialect's formula with its scale is refdiff's with gamma; the scale comes back."""
    unconditional, conditional = drawn.arrays
    scale = dialect.to_scale(gamma)
    formula = {
        "gamma": lambda s, u, c: u + s * (c - u),
        "w": lambda s, u, c: (1 + s) * c - s * u,
    }[dialect.guidance]
    ours = guidance.classifier_free(unconditional, conditional, gamma)
    size = (1 + abs(gamma)) * abs(unconditional), (1 + abs(gamma)) * abs(conditional)
    assert roundings(ours, formula(scale, unconditional.astype(float), conditional.astype(float)), *size) <= IDENTITY
    assert abs(dialect.from_scale(scale) - gamma) <= 8 * np.finfo(float).eps


def test_scales_by_hand():
    """Plain conditional is 1 in one convention and 0 in the other."""
    assert DIALECTS["diffusers"].to_scale(1) == DIALECTS["lucidrains"].to_scale(1) == 1
    assert DIALECTS["smalldiffusion"].to_scale(1) == 0 and DIALECTS["smalldiffusion"].from_scale(6.5) == 7.5
    assert np.array_equal(DIALECTS["smalldiffusion"].from_scale(np.array([0.0, 1.0])), [1, 2])
    with pytest.raises(ValueError, match="gamma = inf; allowed"):
        DIALECTS["diffusers"].to_scale(np.inf)
    with pytest.raises(ValueError, match="scale = nan; allowed"):
        DIALECTS["smalldiffusion"].from_scale(np.nan)


@given(having("loss"), cases)
def test_losses_agree(dialect, drawn):
    """A summed square, converted, is the dialect's reduction of the same squares; and it comes back."""
    target, prediction = drawn.arrays
    size = int(np.prod(target.shape[1:]))
    loss = elbo.l_simple(target, prediction)
    squares = (target.astype(float) - prediction).reshape(len(target), size) ** 2
    wanted = {"sum": squares.sum(axis=1), "half sum": 0.5 * squares.sum(axis=1), "mean": squares.mean(axis=1)}[dialect.loss]
    theirs = dialect.to_loss(loss, size)
    assert roundings(theirs, wanted) <= IDENTITY and theirs.dtype == loss.dtype
    assert roundings(dialect.from_loss(theirs, size), loss) <= IDENTITY


@given(having("elbo"), arrays((5,), np.float32), st.integers(1, 4000))
def test_bounds_agree(dialect, nats, size):
    """Nats over the event become the dialect's unit, and come back, in both precisions."""
    wanted = {"nats": nats, "bits/dim": elbo.bits_per_dim(nats.astype(float), size)}[dialect.elbo]
    for dtype in DTYPES:
        theirs = dialect.to_elbo(nats.astype(dtype), size)
        assert roundings(theirs, wanted) <= IDENTITY and theirs.dtype == dtype
        assert roundings(dialect.from_elbo(theirs, size), nats) <= IDENTITY


@pytest.mark.parametrize("size", [0, -3])
def test_an_event_has_a_size(size):
    """No means over nothing."""
    with pytest.raises(ValueError, match=f"size = {size}; allowed: 1.."):
        DIALECTS["diffusers"].to_loss(np.ones(2), size)
    with pytest.raises(ValueError, match=r"loss = .*nan.*; allowed: finite"):
        DIALECTS["diffusers"].to_loss(np.array([np.nan]), 3)


@given(having("mix"), st.sampled_from(DTYPES), st.data())
def test_learned_variances_agree(dialect, dtype, data):
    """R4: the answer -1 (or 0) is beta-tilde and 1 is beta; between them logarithms are interpolated; the mix comes back."""
    mix = abs(data.draw(arrays((2, 3), dtype, bound=1.0)))
    answer = dialect.to_mix(mix)
    low = {"[0, 1]": 0.0, "[-1, 1]": -1.0}[dialect.mix]
    x = np.zeros_like(mix)
    share = (answer.astype(float) - low) / (1 - low)
    beta_tilde, beta = forward.posterior_variance(3, 2, TABLE), TABLE.beta[3]
    wanted = np.exp(share * np.log(beta) + (1 - share) * np.log(beta_tilde))
    back = dialect.from_mix(answer)
    assert roundings(reverse.model_variance(x, 3, 2, TABLE, "learned", np.clip(back, 0, 1)), wanted) <= IDENTITY
    assert roundings(back, mix, np.ones(1)) <= IDENTITY and answer.dtype == back.dtype == dtype


def test_log_variances_at_the_first_step():
    """beta-tilde_1 = 0 is replaced where its logarithm is tabulated; elsewhere the table is DDPM's."""
    t = np.arange(2, 5)
    later = np.log(TABLE.beta[t] * (1 - TABLE.alpha_bar[t - 1]) / (1 - TABLE.alpha_bar[t]))
    for name, first in (("guided_diffusion", later[0]), ("diffusers", np.log(1e-20)), ("lucidrains", np.log(1e-20))):
        assert DIALECTS[name].log_variance(TABLE) == pytest.approx(np.append(first, later), rel=1e-13)
    with pytest.raises(ValueError, match="schedule has T = 1; allowed: T >= 2"):
        DIALECTS["guided_diffusion"].log_variance(schedules.from_betas([0.1]))


# Features


@given(having("features"), st.integers(2, 20), st.floats(0.1, 30))
def test_features_by_definition(dialect, half, time):
    """N1: entry by entry the sine or cosine of argument times frequency, in the dialect's order."""
    u = {
        "t": time,
        "999 t": 999 * time,
        "1000 t": 1000 * time,
        "log(t) / 2": np.log(time) / 2,
        "log(t) / 4": np.log(time) / 4,
        "1000(t + 13.3)/18.3": 1000 * (time + 13.3) / 18.3,
    }[dialect.features.argument]
    last = half - 1 if dialect.features.divisor == "half - 1" else half
    angles = [u * 10000 ** (-i / last) for i in range(half)]
    sines, cosines = np.sin(angles), np.cos(angles)
    wanted = [*sines, *cosines] if dialect.features.order == "sin, cos" else [*cosines, *sines]
    found = dialect.time_features(np.array([time, time]), 2 * half)
    assert found.shape == (2, 2 * half)
    assert np.max(abs(found - wanted)) <= 16 * np.finfo(float).eps * max(
        1, abs(u)
    )  # an angle's relative rounding is an absolute one of its sine


@given(having("features"), st.integers(2, 8), st.sampled_from(DTYPES))
def test_permuted_features(dialect, half, dtype):
    """Where frequencies are refdiff's, halves swap and swap back; where they are not, no permutation is offered."""
    ours = layers.time_features(np.array([3.0, 700.0]), 2 * half, dtype)
    if dialect.features.divisor != "half - 1":
        with pytest.raises(ValueError, match="divide by 'half'; allowed for a permutation: 'half - 1'"):
            dialect.to_features(ours)
        return
    theirs = dialect.to_features(ours)
    assert np.array_equal(dialect.from_features(theirs), ours) and theirs.dtype == dtype
    own = dataclasses.replace(dialect, features=dialect.features._replace(argument="t"))
    assert np.allclose(theirs, own.time_features(np.array([3.0, 700.0]), 2 * half), rtol=0, atol=1000 * np.finfo(dtype).eps)


def test_features_of_refdiff_are_its_own():
    """The refdiff row gives layers.time_features; odd and too small widths are refused; smalldiffusion's two features are allowed."""
    t = np.array([0.0, 1.0, 999.0])
    assert np.allclose(DIALECTS["refdiff"].time_features(t, 8), layers.time_features(t, 8), rtol=0, atol=1e-12)
    for width in (7, 2):
        with pytest.raises(ValueError, match=f"features = {width}; allowed: even, 4 or more"):
            DIALECTS["refdiff"].time_features(t, width)
    assert DIALECTS["smalldiffusion"].time_features(np.array([np.exp(2.0)]), 2) == pytest.approx(np.array([[np.sin(1), np.cos(1)]]))
    with pytest.raises(ValueError, match="features = 0; allowed: even, 2 or more"):
        DIALECTS["smalldiffusion"].time_features(t, 0)


# Ends and grids


def test_final_alpha_bar():
    """S2: 1 is clean data; stopping at t = 1 leaves beta_1."""
    assert DIALECTS["diffusers"].final_alpha_bar(TABLE) == 1
    assert DIALECTS["smalldiffusion"].final_alpha_bar(TABLE) == pytest.approx(0.9, rel=1e-14)


@given(st.integers(1, 1000), st.data())
def test_grids_are_those_of_the_libraries(T, data):
    """S2: in the dialect's own time, refdiff's grid of that name is the rule as the library computes it."""
    S = data.draw(st.integers(1, T))
    table = schedules.cosine(T)
    ours = DIALECTS["diffusers"].times(T, S)[:-1]
    assert np.array_equal(DIALECTS["diffusers"].to_time(ours, table), np.arange(S)[::-1] * (T // S))
    if all(2 * i * T % (2 * S) != S for i in range(S + 1)):  # halves apart, which one side rounds up and the other to even
        indices = np.array([round(T * (S - i) / S) for i in range(S)]) - 1
        assert np.array_equal(DIALECTS["smalldiffusion"].times(T, S)[:-1] - 1, indices)


def test_grids_that_refdiff_has_not():
    """A rule of another name is refused, with those that exist."""
    with pytest.raises(ValueError, match="grid = 'Karras' is not among refdiff's; allowed: leading, trailing"):
        DIALECTS["edm"].times(1000, 10)


# The command


def test_the_page_holds_every_dialect_and_fits(capsys):
    """`refdiff dialects` prints each dialect's choices in its column, in at most 100 columns."""
    assert cli.main(["dialects"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100 and tuple(page.MEANINGS) == CONVENTIONS
    assert all(f"{name:12}{meaning}" in lines for name, meaning in page.MEANINGS.items())
    found = {}
    for block in "\n".join(lines).split("\n\n")[:-2]:
        header, *rows = block.splitlines()
        for name in header.split():
            start = re.search(rf"(?<!\S){name}(?!\S)", header).start()
            found[name] = [row[start : start + page.WIDTH // 4 - 3].strip() for row in rows]
    flat = {
        name: [
            part
            for field in CONVENTIONS
            for part in ((dialect.features or "---") if field == "features" else [getattr(dialect, field) or "-"])
        ]
        for name, dialect in DIALECTS.items()
    }
    assert found == flat


@pytest.mark.parametrize("name", DIALECTS)
def test_one_dialect_with_its_sources(name, capsys):
    """`refdiff dialects NAME` prints version, choices, sources and note, in at most 100 columns."""
    assert cli.main(["dialects", name]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 100
    words, dialect = " ".join(out.split()), DIALECTS[name]
    assert name in words and dialect.version in words and dialect.note in words
    assert all(f"{fields}: {where}" in words for fields, where in dialect.sources)
    assert all(f"{field} {page.cell(dialect, field)}" in words for field in CONVENTIONS)


def test_a_wrong_name_exits_with_2(capsys):
    """The error names the dialects there are."""
    assert cli.main(["dialects", "difusers"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "argument NAME: name = 'difusers'; allowed: refdiff, diffusers, " in err and "Traceback" not in err
