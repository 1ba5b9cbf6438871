"""Known departures found in practice, beyond the small changes: name, text, and the edits or the whole formula."""

from typing import Any

from . import departures_practice

_STRAIGHT = "(t, 1 - t, 1 + 0 * t, -1 + 0 * t)"
_PAIRS = "k.sum() / k.size if statistic == 'V' else (k.sum() - trace(k)) / (k.size - len(k))"
_KL = "event_sum(ratio - 1 - log(ratio) + (mean1 - mean2) ** 2 / variance2)"

KNOWN: dict[str, tuple[str, Any]] = {
    "trailing-rounded-down": ("trailing times are rounded down", ("grid", departures_practice.grid_trailing_by_floor)),
    "quadratic-of-ddim": (
        "quadratic times are squares of equal steps up to sqrt(0.8 T), 1 added, as in DDIM's code",
        ("grid", departures_practice.grid_quadratic_of_ddim),
    ),
    "table-in-float32": (
        "the table of alpha_bar is computed in float32",
        [("alpha_bar", "np.cumprod(1 - betas)", "np.cumprod(1 - betas.astype(np.float32)).astype(np.float64)")],
    ),
    "index-held-in-the-table": (
        "a table that is one entry short: at t = T, alpha_bar of T - 1 is used",
        [("q_sample", "alpha_bar(betas)[per_example(t, x0)]", "alpha_bar(betas)[np.minimum(per_example(t, x0), len(betas) - 1)]")],
    ),
    "posterior-variance-floor": (
        "on the last step beta-tilde is that of the step from 2 to 1, not 0",
        ("posterior_variance", departures_practice.posterior_variance_with_floor),
    ),
    "no-noise-to-1": ("no noise is added on the step to t = 1 either", [("ddpm_step", "s == 0", "s <= 1")]),
    "eta-not-squared-in-direction": (
        "eps is multiplied by sqrt(1 - alpha_bar_s - eta beta-tilde), eta not squared there",
        [("ddim_step", "sqrt(1 - ab[s] - var)", "sqrt(1 - ab[s] - eta * posterior_variance(t, s, betas))")],
    ),
    "clipped-as-it-comes": ("the prediction itself is clipped, not the x0 that it implies", ("clip_x0", departures_practice.clipped_as_it_comes)),
    "dynamic-threshold": (
        "x0 is divided by its largest value where that is beyond the limit (dynamic thresholding), not clipped",
        ("clip_x0", departures_practice.thresholded_dynamically),
    ),
    "slerp-of-the-batch": ("one angle for the whole batch", ("slerp", departures_practice.slerp_of_the_batch)),
    "slerp-without-norms": ("the angle's cosine is not divided by the norms", ("slerp", departures_practice.slerp_without_norms)),
    "slerp-threshold": ("noises whose cosine is beyond 0.95 are mixed linearly", ("slerp", departures_practice.slerp_with_threshold)),
    "three-eighths-weights": (
        "the weights 1, 3, 3, 1 of the 3/8 rule, with the classical steps",
        [("rk4_step", "h * (k1 + 2 * k2 + 2 * k3 + k4) / 6", "h * (k1 + 3 * k2 + 3 * k3 + k4) / 8")],
    ),
    "far-slope-only": (
        "the slope at the far end alone, not the mean of both",
        [("heun_step", "(s - t) * (slope + f(x + (s - t) * slope, s)) / 2", "(s - t) * f(x + (s - t) * slope, s)")],
    ),
    "steps-without-sign": ("backwards in time, a step has the wrong sign: its length is an absolute value", ("ode_sample", departures_practice.ode_sample_by_length)),
    "sigma-min": (
        "noise of standard deviation 1e-4 remains at t = 1 (sigma_min)",
        [("path_weights", _STRAIGHT, "(t, 1 - (1 - 1e-4) * t, 1 + 0 * t, -(1 - 1e-4) + 0 * t)")],
    ),
    "trigonometric-rate": (
        "the trigonometric path's velocity lacks its factor pi / 2",
        [
            (
                "path_weights",
                "(sin(angle), cos(angle), pi(t) / 2 * cos(angle), -pi(t) / 2 * sin(angle))",
                "(sin(angle), cos(angle), cos(angle), -sin(angle))",
            )
        ],
    ),
    "coupling-by-distance": ("the total distance is minimized, not the total squared distance", ("couple_optimally", departures_practice.couple_by_distance)),
    "coupling-greedy": ("every noise takes the nearest data point that is left", ("couple_optimally", departures_practice.couple_greedily)),
    "half-the-squared-distance": (
        "the cost of a pair is half its squared distance, so eps is twice as large as it should be",
        [("couple_entropic", "sinkhorn(exp(-((noise[:, None] - data[None]) ** 2).reshape(len(noise), len(data), -1).sum(axis=2) / eps))", "sinkhorn(exp(-((noise[:, None] - data[None]) ** 2).reshape(len(noise), len(data), -1).sum(axis=2) / (2 * eps)))")],
    ),
    "distance-not-squared": (
        "the cost of a pair is its distance, not the squared one",
        [("couple_entropic", "((noise[:, None] - data[None]) ** 2).reshape(len(noise), len(data), -1).sum(axis=2)", "sqrt(((noise[:, None] - data[None]) ** 2).reshape(len(noise), len(data), -1).sum(axis=2))")],
    ),
    "eps-is-sigma-squared": (
        "the coupling of the bridge has eps = sigma^2, not 2 sigma^2",
        [("gaussian_bridge", "2 * sigma ** 2", "sigma ** 2")],
    ),
    "denominator-1e-8": (
        "1e-8 is added to the denominator 2 t (1 - t)",
        [("bridge_targets", "2 * t * (1 - t)", "2 * t * (1 - t) + 1e-8")],
    ),
    "moments-divisor-n": (
        "the covariances have the divisor N, not N - 1",
        [("moments_of", "centered.T @ centered / (len(x) - 1)", "centered.T @ centered / len(x)")],
    ),
    "product-of-roots": (
        "the trace of the product of the two roots, which is right only for covariances that commute",
        [("frechet_distance", "symmetric_root(root @ cov2 @ root)", "root @ symmetric_root(cov2)")],
    ),
    "marginal-of-all-parts": (
        "every part is compared with the mean row of all rows, not with its own",
        ("inception_score", departures_practice.inception_score_with_one_marginal),
    ),
    "diagonal-kept": (
        "the statistic U keeps the pairs of a point with itself, so it is not 0 on average for equal distributions",
        [("over_pairs", _PAIRS, "k.sum() / k.size")],
    ),
    "kernel-not-scaled": (
        "the product a . b of the kernel is not divided by the number of dimensions",
        [("kid", "(a @ b.T / x.shape[1] + 1) ** 3", "(a @ b.T + 1) ** 3")],
    ),
    "bandwidth-without-2": (
        "the kernel is exp(-|a - b|^2 / bandwidth^2), without the factor 2",
        [("mmd", "2 * bandwidth ** 2", "bandwidth ** 2")],
    ),
    "guidance-rescaled": (
        "0.7 of the guided prediction is rescaled to the standard deviation of the conditional one (guidance rescale)",
        ("classifier_free", departures_practice.guidance_rescaled),
    ),
    "one-logarithm": (
        "the KL divergence has the logarithm of one dimension only",
        [("kl_isotropic", _KL, "(event_sum(ratio - 1 + (mean1 - mean2) ** 2 / variance2) - event_mean(log(ratio)))")],
    ),
    "hybrid-mixed": (
        "hybrid loss (1 - weight) simple + weight vlb",
        [("hybrid", "simple + (vlb / 1000 if weight is None else weight * vlb)", "simple + (vlb - simple) * (1e-3 if weight is None else weight)")],
    ),
    "period-1000": ("the longest period is 1000, not 10000", [("time_features", "like(10000, t)", "like(1000, t)")]),
    "labels-once": (
        "of several examples with the same label, only the last one counts",
        ("embedding_vjp", departures_practice.embedding_vjp_without_repeats),
    ),
    "causal": ("no position attends to later ones (a causal mask)", ("scaled_dot_product", departures_practice.attention_causal)),
    "bilinear": ("upsampling is bilinear, not nearest-neighbour", ("up", departures_practice.up_bilinear)),
    "padding-behind": ("at stride 2 all zero padding is at the lower and right edges", ("conv", departures_practice.conv_padded_after)),
    "norm-after-clipping": (
        "the norm after clipping is returned, not that before",
        [("clip_by_norm", "(grads_a * factor, grads_b * factor, norm)", "(grads_a * factor, grads_b * factor, norm * factor)")],
    ),
    "loss-mean-gradient-sum": (
        "the loss is a mean over the batch, its gradient that of the sum",
        [("mlp_loss", "(error ** 2).sum()", "(error ** 2).sum() / len(error)")],
    ),
    "warmup-from-1": (
        "the warm-up is one step ahead: peak (k + 1) / warmup",
        [("learning_rate", "peak * step / warmup", "peak * min(step + 1, warmup) / warmup")],
    ),
    "corrector-of-the-batch": (
        "the lengths of the noise and the score are averaged over the batch, so an example's step size depends on the others",
        [("corrector_size", "2 * ratio ** 2 * event_sum(noise ** 2) / event_sum(score ** 2)", "2 * (ratio * sqrt(event_sum(noise ** 2)).mean() / sqrt(event_sum(score ** 2)).mean()) ** 2 + 0 * event_sum(noise)")],
    ),
    "third-order-without-2": (
        "the second difference lacks the factor 2! of Taylor's formula, so the order is 2, not 3",
        [("dpmpp_step", "2 * phi3", "phi3"), ("dpm_solver_step", "2 * phi3", "phi3")],
    ),
    "third-order-sign": (
        "in the factor of the second difference the 1/2 has the wrong sign, and its factor 2! is missing",
        [("dpmpp_step", "2 * phi3", "(2 * phi2 / H + 1) / 2")],
    ),
    "difference-not-divided": (
        "the difference of two predictions is not divided by the ratio of the steps",
        [("differences", "(values[0] - values[1]) / r0", "(values[0] - values[1])")],
    ),
    "ratio-upside-down": ("the ratio of the steps is upside down", [("differences", "(values[0] - values[1]) / r0", "(values[0] - values[1]) * r0")]),
    "sde-difference-of-the-ode": (
        "the difference of two predictions has the factor of the ODE, 1 - exp(-h), not that of the SDE",
        [("dpmpp_step", "(1 - exp(-H)) / 2", "(1 - exp(-H / (1 + eta))) / 2")],
    ),
    "log-snr-not-halved": (
        "lambda is the log-SNR, not half of it",
        [("dpmpp_step", "-(1 + eta) * log(ratio)", "-2 * (1 + eta) * log(ratio)"), ("half_log_snr", "log(signal[j] / sigma[j])", "2 * log(signal[j] / sigma[j])")],
    ),
    "noise-of-the-stage-lost": (
        "the noise of the step does not contain that of its stage, so the variance has order 1, not 2",
        [("dpmpp_2s_step", "sigma[2] * to_s ** eta * (sqrt(q_u) * noise[0] + sqrt(q_s - q_u) * noise[1])", "sigma[2] * to_s ** eta * sqrt(q_s) * noise[1]")],
    ),
    "one-noise-for-both-parts": (
        "the step takes the noise of its stage again, and no other, so the variance has order 1, not 2",
        [("dpmpp_2s_step", "sigma[2] * to_s ** eta * (sqrt(q_u) * noise[0] + sqrt(q_s - q_u) * noise[1])", "sigma[2] * to_s ** eta * sqrt(q_s) * noise[0]")],
    ),
    "plms-in-time": (
        "the mean of the predictions is multiplied by the step of sigma, not of sigma / signal",
        [("plms_step", "sigma[-1] / signal[-1] - sigma[0] / signal[0]", "sigma[-1] - sigma[0]")],
    ),
    "deis-of-equal-steps": (
        "the weights are those of equal steps (Adams-Bashforth), not the integrals for the steps as they are",
        [("deis_step", "signal[-1] / signal[0] * x_t + signal[-1] * sum((h / (k + 1) * coefficients[k] for k in range(p)))", "plms_step(x_t, eps, signal, sigma)")],
    ),
    "no-last-level": ("the last level is sigma_min, not 0", [("edm_sigmas", "0 * high", "levels[-1]")]),
    "levels-to-the-zero": ("the levels fall to 0 by the formula itself, with N in place of N - 1", [("edm_sigmas", "max(steps - 1, 1)", "steps")]),
    "c-noise-times-1000": ("c_noise is multiplied by 1000", [("edm_preconditioning", "log(sigma) / 4", "1000 * log(sigma) / 4")]),
    "c-noise-of-sigma": ("c_noise is sigma itself", [("edm_preconditioning", "log(sigma) / 4", "sigma")]),
    "churn-of-deviations": (
        "the standard deviations are subtracted, not the variances",
        [("edm_churn", "sqrt(sigma_hat ** 2 - sigma ** 2)", "(sigma_hat - sigma)")],
    ),
    "heun-of-the-old-slope": ("both slopes are taken at the start", [("edm_heun_step", "(euler - model(euler, s)) / s", "(euler - model(x, t)) / t")]),
    "history-in-order": ("the differences are taken from the oldest prediction", [("dpmpp_sample", "[model(states[-1], i), *x0][:order]", "[*x0, model(states[-1], i)][-order:]")]),
}  # fmt: skip
