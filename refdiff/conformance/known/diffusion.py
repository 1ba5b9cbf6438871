"""Known departures in schedules, the forward process, samplers, flow and guidance: name, text, and the edits or the
whole formula.

Edits are (formula, expression, replacement), made at every occurrence.
"""

from typing import Any

from . import departures

Entry = tuple[str, Any]

SCHEDULES: dict[str, Entry] = {
    "linear-not-scaled": (
        "the beta range of T = 1000 is used as it is for other T",
        [
            (
                "linear",
                "1000 * (beta_start + (t - 1) * (beta_end - beta_start) / max(T - 1, 1)) / T",
                "beta_start + (t - 1) * (beta_end - beta_start) / max(T - 1, 1)",
            )
        ],
    ),
    "scaled-linear-not-scaled": (
        "the beta range of T = 1000 is used as it is for other T",
        [("quadratic", "1000 * root**2 / T", "root**2")],
    ),
    "linear-in-root": (
        '"linear" is linear in the square root of beta',
        [
            (
                "linear",
                "beta_start + (t - 1) * (beta_end - beta_start) / max(T - 1, 1)",
                "(sqrt(beta_start) + (t - 1) * (sqrt(beta_end) - sqrt(beta_start)) / max(T - 1, 1)) ** 2",
            )
        ],
    ),
    "cosine-not-clipped": (
        "betas of the cosine schedule are not clipped",
        [("cosine", "np.minimum(1 - f[1:] / f[:-1], beta_max)", "1 - f[1:] / f[:-1]")],
    ),
    "cosine-clipped-below": (
        "betas of the cosine schedule are clipped to 0.01..0.99",
        [("cosine", "np.minimum(1 - f[1:] / f[:-1], beta_max)", "np.clip(1 - f[1:] / f[:-1], 0.01, 0.99)")],
    ),
    "root-of-alpha-bar": (
        "sigmoid(log-SNR) is alpha_bar, but its square root is returned",
        [("from_log_snr", "sigmoid(log_snr)", "sqrt(sigmoid(log_snr))")],
    ),
    "half-log-snr": (
        "the log-SNR is log(signal / sigma), half of log(signal^2 / sigma^2)",
        [("log_snr", "log(snr(betas))", "log(snr(betas)) / 2")],
    ),
    "snr-of-amplitudes": ("the SNR is signal / sigma, not its square", [("snr", "ab / (1 - ab)", "sqrt(ab / (1 - ab))")]),
    "grid-by-floats": (
        "trailing times are counted down by a float stride, which for some S gives one too many",
        ("grid", departures.grid_by_floats),
    ),
    "grid-rounded-to-even": ("halves are rounded to even, as numpy.round does", ("grid", departures.grid_rounded_to_even)),
    "grid-from-index-0": (
        "times are indices 0..T - 1 of tables without an entry for clean data",
        [("grid", "np.append(times, 0)", "np.append(times - 1, 0)")],
    ),
}

FORWARD: dict[str, Entry] = {
    "q-sample-index": (
        "alpha_bar of t - 1 is used at t",
        [("q_sample", "alpha_bar(betas)[per_example(t, x0)]", "alpha_bar(betas)[per_example(t, x0) - 1]")],
    ),
    "q-sample-index-above": (
        "alpha_bar of t + 1 is used at t",
        [("q_sample", "alpha_bar(betas)[per_example(t, x0)]", "alpha_bar(betas)[per_example(t, x0) + 1]")],
    ),
    "q-sample-variance-for-deviation": (
        "the noise is multiplied by its variance, not by its standard deviation",
        [("q_sample", "sqrt(1 - ab)", "(1 - ab)")],
    ),
    "beta-for-beta-tilde": (
        "the posterior variance is beta, not beta-tilde",
        [("posterior_variance", "(1 - ab[s]) / (1 - ab[t]) * beta", "beta")],
    ),
    "beta-tilde-not-divided": (
        "the posterior variance is not divided by 1 - alpha_bar_t",
        [("posterior_variance", "(1 - ab[s]) / (1 - ab[t])", "1 - ab[s]")],
    ),
    "beta-tilde-floor": (
        "on the last step beta-tilde is that of the step before, not 0",
        ("model_variance", departures.model_variance_with_floor),
    ),
    "log-variance-for-variance": (
        "the logarithm of the variance is returned, not the variance",
        [("model_variance", "tilde if variance == 'posterior' else beta", "log(tilde if variance == 'posterior' else beta)")],
    ),
    "log-beta-for-variance": (
        'for "beta", the logarithm of the variance is returned, not the variance',
        [("model_variance", "tilde if variance == 'posterior' else beta", "tilde if variance == 'posterior' else log(beta)")],
    ),
    "deviation-for-variance": (
        "the standard deviation is returned, not the variance",
        [("model_variance", "tilde if variance == 'posterior' else beta", "sqrt(tilde if variance == 'posterior' else beta)")],
    ),
    "variances-exchanged": (
        "beta and beta-tilde are exchanged",
        [("model_variance", "tilde if variance == 'posterior' else beta", "beta if variance == 'posterior' else tilde")],
    ),
    "learned-as-variance": (
        "the network's output is the variance itself",
        [("model_variance", "exp(mix * log(beta) + (1 - mix) * log(tilde))", "mix")],
    ),
    "learned-as-log-variance": (
        "the network's output is the logarithm of the variance",
        [("model_variance", "exp(mix * log(beta) + (1 - mix) * log(tilde))", "exp(mix)")],
    ),
    "learned-not-in-log-space": (
        "a learned variance is interpolated between variances, not between their logarithms",
        [("model_variance", "exp(mix * log(beta) + (1 - mix) * log(tilde))", "mix * beta + (1 - mix) * tilde")],
    ),
    "learned-ends-exchanged": (
        "mix = 1 gives beta-tilde, mix = 0 beta",
        [("model_variance", "exp(mix * log(beta) + (1 - mix) * log(tilde))", "exp(mix * log(tilde) + (1 - mix) * log(beta))")],
    ),
    "neighbours-only": (
        "alpha and beta of t are used for a larger step to s < t - 1",
        [("transition", "(ab[t] / ab[s], 1 - ab[t] / ab[s])", "(ab[t] / ab[t - 1], 1 - ab[t] / ab[t - 1])")],
    ),
}

SAMPLERS: dict[str, Entry] = {
    "ddim-by-stride": (
        "the next time is t - T // S, not the next entry of the grid",
        ("ddim_sample", departures.ddim_sample_by_stride),
    ),
    "ddpm-by-stride": (
        "the next time is t - T // S, not the next entry of the grid",
        ("ddpm_sample", departures.ddpm_sample_by_stride),
    ),
    "stops-at-alpha-bar-1": ("the last step stops at alpha_bar_1, not at 1", ("ddim_step", departures.ddim_step_stopping_early)),
    "clip-keeps-eps": ("x0 is clipped, but eps is not recomputed", ("ddim_step", departures.ddim_step_keeping_eps)),
    "clip-ignored": ("x0 is not clipped", [("ddim_step", "clip is not None", "False"), ("ddpm_step", "clip is not None", "False")]),
    "eps-sign": (
        "the sign of eps is flipped",
        [("ddim_step", "sqrt(ab[s]) * x0 + sqrt(1 - ab[s] - var) * eps", "sqrt(ab[s]) * x0 - sqrt(1 - ab[s] - var) * eps")],
    ),
    "eta-not-squared": (
        "the variance is eta beta-tilde, not eta^2 beta-tilde",
        [("ddim_step", "eta**2 * posterior_variance(t, s, betas)", "eta * posterior_variance(t, s, betas)")],
    ),
    "eta-of-beta": (
        "the variance is eta^2 beta, not eta^2 beta-tilde",
        [("ddim_step", "posterior_variance(t, s, betas)", "transition(t, s, betas)[1]")],
    ),
    "direction-without-variance": (
        "eps is multiplied by sqrt(1 - alpha_bar_s), regardless of eta",
        [("ddim_step", "sqrt(1 - ab[s] - var)", "sqrt(1 - ab[s])")],
    ),
    "noise-on-the-last-step": ("noise is also added on the last step", [("ddpm_step", "s == 0", "False")]),
    "variance-for-deviation": (
        "the noise is multiplied by the variance, not by its root",
        [("ddpm_step", "sqrt(model_variance(variance, x_t, t, s, betas, mix))", "model_variance(variance, x_t, t, s, betas, mix)")],
    ),
    "v-sign": ("v has the opposite sign: sigma x0 - signal eps", [("weights", "(-sigma, signal)", "(sigma, -signal)")]),
    "score-as-eps": ("the score is used as eps, or not divided by sigma", [("weights", "(zero, -1 / sigma)", "(zero, -one)")]),
    "velocity-sign": ("the velocity is noise - data", [("weights", "(one, -one)", "(-one, one)")]),
    "heun-ends-in-euler": ("the last Heun step is an Euler step", ("heun_step", departures.heun_step_ending_in_euler)),
    "steps-less-one": ("a step is 1 / (steps - 1)", ("ode_sample", departures.ode_sample_by_steps_less_one)),
    "equal-steps": ("steps are equal, regardless of the times", ("ode_sample", departures.ode_sample_of_equal_steps)),
    "model-at-next-time": (
        "the model is evaluated at the next time",
        [("ddim_sample", "model(states[-1], t)", "model(states[-1], s)"), ("ddpm_sample", "model(states[-1], t)", "model(states[-1], s)")],
    ),
    "model-at-index": (
        "the model is evaluated at t - 1, the index of a table from 0",
        [
            ("ddim_sample", "model(states[-1], t)", "model(states[-1], t - 1)"),
            ("ddpm_sample", "model(states[-1], t)", "model(states[-1], t - 1)"),
        ],
    ),
    "linear-interpolation": (
        "noises are mixed linearly, which reduces their norm",
        [("slerp", "sin((1 - weight) * u) / sin(u) * a + sin(weight * u) / sin(u) * b", "(1 - weight) * a + weight * b")],
    ),
}

FLOW: dict[str, Entry] = {
    "time-runs-to-noise": (
        "flow time runs from data at 0 to noise at 1",
        [("path_weights", "(t, 1 - t, 1 + 0 * t, -1 + 0 * t)", "(1 - t, t, -1 + 0 * t, 1 + 0 * t)")],
    ),
    "flow-velocity-sign": (
        "the velocity is noise - data",
        [("path_weights", "(t, 1 - t, 1 + 0 * t, -1 + 0 * t)", "(t, 1 - t, -1 + 0 * t, 1 + 0 * t)")],
    ),
    "loss-averaged": (
        "the loss is the mean over the event, not the sum",
        [
            (
                "conditional_loss",
                "event_sum((prediction - velocity(data, noise, t, path)) ** 2)",
                "event_mean((prediction - velocity(data, noise, t, path)) ** 2)",
            )
        ],
    ),
    "snr-not-log-snr-halved": ("tau is sigmoid(log-SNR), not of half of it", [("flow_time", "log_snr / 2", "log_snr")]),
}

GUIDANCE: dict[str, Entry] = {
    "scale-is-w": (
        "the scale is w, gamma = 1 + w: 0 is the conditional model",
        [("classifier_free", "(1 - gamma) * unconditional + gamma * conditional", "(1 + gamma) * conditional - gamma * unconditional")],
    ),
    "w-is-scale": (
        "the scale is gamma, w = gamma - 1: 1 is the conditional model",
        [("classifier_free_w", "(1 + w) * conditional - w * unconditional", "w * conditional + (1 - w) * unconditional")],
    ),
    "labels-exchanged": (
        "the conditional and the unconditional prediction are exchanged",
        [("classifier_free", "(1 - gamma) * unconditional + gamma * conditional", "(1 - gamma) * conditional + gamma * unconditional")],
    ),
    "gradient-without-sigma": (
        "the classifier's gradient is not multiplied by sigma",
        [("classifier_eps", "per_example(gamma, eps) * sigma * gradient", "per_example(gamma, eps) * gradient")],
    ),
    "gradient-by-variance": (
        "the classifier's gradient is multiplied by sigma^2",
        [("classifier_eps", "sqrt(1 - alpha_bar(betas)[per_example(t, eps)])", "1 - alpha_bar(betas)[per_example(t, eps)]")],
    ),
    "keeps-where-it-drops": (
        "labels are dropped with probability 1 - p",
        [("drop_labels", "uniform < probability", "uniform >= probability")],
    ),
}

KNOWN: dict[str, Entry] = SCHEDULES | FORWARD | SAMPLERS | FLOW | GUIDANCE
