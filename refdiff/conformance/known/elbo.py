"""Known departures in gaussian, elbo and latent: edits (formula, expression, replacement) and a text."""

LIK = "event_sum(log(np.where(x == -1, first, np.where(x == 1, last, inner))))"
KL = "event_sum(ratio - 1 - log(ratio) + (mean1 - mean2) ** 2 / variance2) / 2"
INNER = "kl_diagonal(true_mean, true_variance, mean, model_var)"
MSE = "event_sum((target - prediction) ** 2)"
CONTINUOUS = "rate * error_weight(gamma, kind) * event_sum((target - prediction) ** 2) / 2"
LME = "peak + log(sum(exp(values - peak)) / len(values))"


def _approximate(z: str) -> str:
    return f"(1 + tanh(sqrt(2 / pi(x)) * (({z}) + 0.044715 * ({z}) ** 3))) / 2"


TANH = [
    ("discretized_log_likelihood", f"normal_cdf({z})", _approximate(z))
    for z in ("(1 + offset) / unit", "(1 - offset) / unit", "(1 - abs(offset)) / unit", "-(1 + abs(offset)) / unit")
]
CLAMP = ("discretized_log_likelihood", LIK, "event_sum(log(np.maximum(np.where(x == -1, first, np.where(x == 1, last, inner)), 1e-12)))")
Known = tuple[list[tuple[str, str, str]], str]

KNOWN: list[Known] = [  # (edits, text)
    (TANH, "the normal CDF is its tanh approximation, unclamped"),
    (TANH + [CLAMP], "the normal CDF is its tanh approximation, probabilities held above 1e-12"),
    ([CLAMP], "probabilities of pixels are held above 1e-12"),
    ([("discretized_log_likelihood", LIK, "event_sum(log(inner))")], "the bins of -1 and 1 do not reach to infinity"),
    (
        [("discretized_log_likelihood", LIK, "event_sum(-((offset / unit) ** 2) / 2 - log(2 * pi(x)) / 2 - log(unit / 2))")],
        "the density at the pixel times the bin's width, not the integral",
    ),
    (
        [("discretized_log_likelihood", LIK, "event_sum(-((offset / unit) ** 2) / 2 - log(2 * pi(x)) / 2 - log(std))")],
        "the density at the pixel, not the probability of its bin",
    ),
    (
        [
            ("discretized_log_likelihood", "(levels - 1) * (x - mean)", "levels * (x - mean)"),
            ("discretized_log_likelihood", "(levels - 1) * std", "levels * std"),
        ],
        "bins of half width 1 / levels, not 1 / (levels - 1)",
    ),
    (
        [
            ("discretized_log_likelihood", "(levels - 1) * (x - mean)", "(levels - 1) / 2 * (x - mean)"),
            ("discretized_log_likelihood", "(levels - 1) * std", "(levels - 1) / 2 * std"),
        ],
        "bins twice as wide: half width 2 / (levels - 1)",
    ),
    ([("kl_diagonal", KL, KL[:-4])], "the divergence lacks its factor 1/2"),
    ([("kl_isotropic", KL, KL[:-4])], "the divergence lacks its factor 1/2"),
    (
        [("kl_diagonal", "ratio - 1 - log(ratio) + (mean1 - mean2) ** 2 / variance2", "(mean1 - mean2) ** 2 / variance2")],
        "the divergence compares means only",
    ),
    (
        [
            (
                "kl_diagonal",
                "ratio - 1 - log(ratio) + (mean1 - mean2) ** 2 / variance2",
                "(variance2 / variance1 - 1 - log(variance2 / variance1) + (mean1 - mean2) ** 2 / variance1)",
            )
        ],
        "the divergence the other way around, D(second || first)",
    ),
    (
        [("kl_diagonal", "(mean1 - mean2) ** 2 / variance2", "(mean1 - mean2) ** 2 / sqrt(variance2)")],
        "the means' distance is divided by a standard deviation",
    ),
    (
        [
            (
                "kl_full",
                "spread + log_det(covariance2) - log_det(covariance1) + distance",
                "spread + (log_det(covariance2) - log_det(covariance1)) / 2 + distance",
            )
        ],
        "the log-determinants are halved twice",
    ),
    ([("inner_kl", INNER, "kl_diagonal(mean, model_var, true_mean, true_variance)")], "D(p || q) in place of D(q || p)"),
    ([("inner_kl", INNER, "event_sum((true_mean - mean) ** 2 / model_var) / 2")], "the inner term lacks the part of the variances"),
    ([("inner_kl", INNER, INNER + " / (x0.size // len(x0))")], "the inner term is a mean over the event, not a sum"),
    (
        [("inner_kl", INNER, INNER + " / (x0.size // len(x0)) / log(2)")],
        "the inner term in bits per dimension, as OpenAI's code returns it",
    ),
    ([("inner_kl", INNER, INNER + " / log(2)")], "the inner term in bits, not in nats"),
    (
        [("model_variance", "mix * log(beta) + (1 - mix) * log(tilde)", "mix * log(tilde) + (1 - mix) * log(beta)")],
        "learned variance: the two ends exchanged",
    ),
    (
        [("model_variance", "mix * log(beta) + (1 - mix) * log(tilde)", "(mix + 1) / 2 * log(beta) + (1 - mix) / 2 * log(tilde)")],
        "learned variance: mix taken as -1..1 (OpenAI's network output), not 0..1",
    ),
    (
        [("model_variance", "exp(mix * log(beta) + (1 - mix) * log(tilde))", "mix * beta + (1 - mix) * tilde")],
        "learned variance: interpolated linearly, not in logarithms",
    ),
    ([("elbo_terms", "[prior_kl(x0, betas)]", "[0 * prior_kl(x0, betas)]")], "L_T is left out"),
    (
        [("elbo_terms", "-decoded(decoder, x0, *elbo_step(model, x_t, t, s, betas, variance))", "0 * prior_kl(x0, betas)")],
        "L_0 is left out",
    ),
    ([("elbo_step", "variance if s > 0 else 'beta'", "'beta'")], "the variance is always beta"),
    ([("hybrid", "vlb / 1000", "vlb")], "hybrid loss with weight 1"),
    (
        [("hybrid", "vlb / 1000", "vlb / (1000 * log(2))"), ("hybrid", "weight * vlb", "weight * vlb / log(2)")],
        "hybrid loss with the bound in bits",
    ),
    ([("bits_per_dim", "dimensions * log(0 * nats + 2)", "dimensions")], "nats per dimension, not bits"),
    ([("bits_per_dim", "dimensions * log(0 * nats + 2)", "log(0 * nats + 2)")], "bits of the whole example, not per dimension"),
    ([("bits_per_dim", "dimensions * log(0 * nats + 2)", "dimensions / log(0 * nats + 2)")], "multiplied by log 2 instead of divided"),
    ([("l_simple", MSE, "event_mean((target - prediction) ** 2)")], "mean over the event, not the sum"),
    ([("l_simple", MSE, "np.mean((target - prediction) ** 2)")], "mean over batch and event, one number"),
    ([("l_simple", MSE, MSE + " / 2")], "half the squared error"),
    ([("l_simple", MSE, "event_sum(abs(target - prediction))")], "absolute error, not squared"),
    ([("l_simple", MSE, "sqrt(event_sum((target - prediction) ** 2))")], "the norm, not its square"),
    ([("min_snr_weight", "capped / (ratio + 1)", "capped / ratio")], "min-SNR: eps's weight used for v"),
    ([("min_snr_weight", "capped / (ratio + 1)", "capped / ratio + 1")], "min-SNR: 1 added to the weight of v, not to its SNR"),
    (
        [("min_snr_weight", "capped / ratio", "capped"), ("min_snr_weight", "capped / (ratio + 1)", "capped")],
        "min-SNR: x0's weight used for every prediction",
    ),
    ([("min_snr_weight", "np.minimum(ratio, gamma)", "np.maximum(ratio, gamma)")], "min-SNR: the larger instead of the smaller"),
    ([("min_snr_weight", "ab / (1 - ab)", "sqrt(ab / (1 - ab))")], "min-SNR: signal to noise of amplitudes, not of powers"),
    ([("min_snr_weight", "ab / (1 - ab)", "(1 - ab) / ab")], "min-SNR: noise to signal"),
    (
        [("weight_x0", "ab[s] / (1 - ab[s]) - ab[t] / (1 - ab[t])", "ab[t] / (1 - ab[t])")],
        "weight of x0: half the SNR itself, not its drop",
    ),
    (
        [("weight_x0", "ab[s] / (1 - ab[s]) - ab[t] / (1 - ab[t])", "log(ab[s] / (1 - ab[s])) - log(ab[t] / (1 - ab[t]))")],
        "weight of x0: the drop of the log-SNR",
    ),
    ([("weight_eps", "2 * tilde * alpha * (1 - ab)", "2 * beta * alpha * (1 - ab)")], "weight of eps: beta for beta-tilde"),
    ([("weight_eps", "2 * tilde * alpha * (1 - ab)", "2 * tilde * ab * (1 - ab)")], "weight of eps: alpha_bar for alpha"),
    (
        [("weight_eps", "beta ** 2 / (2 * tilde * alpha * (1 - ab))", "beta ** 2 / (tilde * alpha * (1 - ab))")],
        "weight of eps without its half",
    ),
    ([("weight_mean", "2 * tilde", "2 * sqrt(tilde)")], "weight of the mean: a standard deviation for a variance"),
    ([("continuous_term", CONTINUOUS, CONTINUOUS[:-4])], "the term lacks its half"),
    ([("continuous_term", CONTINUOUS, CONTINUOUS.removeprefix("rate * "))], "gamma' is left out: right only where gamma grows by 1"),
    ([("continuous_term", CONTINUOUS, f"-{CONTINUOUS}")], "the sign of d log SNR / dt for that of gamma'"),
    ([("continuous_term", CONTINUOUS, CONTINUOUS.replace("event_sum", "event_mean"))], "mean over the event, not the sum"),
    ([("continuous_term", CONTINUOUS, f"{CONTINUOUS} / log(2)")], "the term in bits, not in nats"),
    ([("error_weight", "exp(-gamma)", "exp(gamma)")], "the error of x0 counts 1 / SNR times, not SNR times"),
    ([("error_weight", "exp(-gamma)", "exp(-gamma / 2)")], "the error of x0 counts the ratio of amplitudes times, not the SNR"),
    ([("error_weight", "sigmoid(-gamma)", "sigmoid(gamma)")], "the error of v counts sigma^2 times, not signal^2 times"),
    ([("finite_term", "exp(gamma_t - gamma_s) - 1", "gamma_t - gamma_s")], "a step counts its difference of gamma, as in continuous time"),
    (
        [("finite_term", "exp(gamma_t - gamma_s) - 1", "1 - exp(gamma_s - gamma_t)")],
        "a step counts 1 - SNR(t) / SNR(s), beta of the sampler",
    ),
    (
        [("finite_term", "T * (exp(gamma_t - gamma_s) - 1)", "exp(gamma_t - gamma_s) - 1")],
        "one step for the sum of T: the factor T is left out",
    ),
    ([("finite_term", "error_weight(gamma_t, kind)", "error_weight(gamma_s, kind)")], "the weight at s, where the state is that at t"),
    ([("softplus", "log(1 + exp(w))", "abs(w)")], "weights |w|, as VDM's code has them"),
    ([("softplus", "log(1 + exp(w))", "exp(w)")], "weights exp(w)"),
    (
        [("monotone_network", "a[:, None] * a2 + b2", "t[:, None] * a2 + b2")],
        "the second layer takes the time, not the first layer's output",
    ),
    ([("monotone_network", "a[:, None] * a2 + b2", "(2 * t[:, None] - 1) * a2 + b2")], "the second layer takes 2 t - 1, as in VDM's code"),
    (
        [
            ("monotone_gamma", "gamma_0 + span * (h - start)", "gamma_1 - span * (h - start)"),
            ("monotone_gamma", "span * slope", "-span * slope"),
        ],
        "the log-SNR's direction: gamma falls",
    ),
    (
        [("optimal_gamma", "exp((1 - t) * first + t * last)", "1 + variance * exp(-((1 - t) * gamma_0 + t * gamma_1))")],
        "gamma straight in t, with the rate of the best schedule",
    ),
    ([("stratified_times", "np.where(t >= 1, t - 1, t)", "t")], "times beyond 1: no remainder is taken"),
    (
        [("stratified_times", "(count * uniform + np.arange(count)) / count", "(uniform + np.arange(count)) / count")],
        "u in the part of each time, (u + i) / B",
    ),
    ([("importance", "sqrt(second_moments)", "1 * second_moments")], "probabilities by second moments, not by their roots"),
    ([("importance", "1 / (len(roots) * p)", "1 / p")], "weights 1 / p: the sum over the steps, not their mean"),
    ([("importance", "1 / (len(roots) * p)", "1 + 0 * p")], "drawn by importance, but not weighted: biased"),
    ([("log_density_full", "solve(covariance, offset.T)", "(covariance @ offset.T)")], "the covariance where its inverse belongs"),
    ([("entropy", "1 + log(2 * pi(x) * variance)", "log(2 * pi(x) * variance)")], "entropy without its e"),
    ([("log_mean_exp", LME, "sum(values) / len(values)")], "the mean of logarithms (the ELBO), not the logarithm of the mean"),
    ([("log_mean_exp", LME, "peak + log(sum(exp(values - peak)))")], "log-sum-exp without - log K"),
    ([("log_mean_exp", LME, "log(sum(exp(values)) / len(values))")], "exponentials that overflow: no largest value taken out first"),
    ([("log_mean_exp", LME, "peak")], "the largest sample only"),
    ([("importance_weighted", "log_joint - log_q", "log_joint")], "q left out of the weights"),
    ([("latent_elbo", "fit - spread - divergence", "fit - divergence")], "reconstruction at the mean of q only"),
    ([("latent_elbo", "fit - spread - divergence", "fit - spread + divergence")], "the divergence with the wrong sign"),
    (
        [("latent_gap", "kl_full(m, covariance, e, exact_covariance)", "kl_full(e, exact_covariance, m, covariance)")],
        "D(p(z | x) || q) in place of D(q || p(z | x))",
    ),
    ([("latent_posterior", "identity(precision) + precision", "precision")], "the posterior forgets the prior of z"),
    (
        [("latent_log_marginal", "covariance + variance * identity(covariance)", "covariance + variance ** 2 * identity(covariance)")],
        "the noise's variance taken for its standard deviation",
    ),
    (
        [("product", "variance2 * mean1 + variance1 * mean2", "variance1 * mean1 + variance2 * mean2")],
        "means weighted by variances, not by precisions",
    ),
    ([("product", "variance1 * variance2 / total", "total")], "variances added, as for a sum of variables"),
]
