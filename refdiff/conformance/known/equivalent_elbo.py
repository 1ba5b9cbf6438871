"""Equivalent mutants of gaussian, elbo and latent, which no vector can kill."""

SQUARE = "only the square of the difference counts"
UNUSED = "the variance is not used"
SYMMETRIC = "a Gaussian density is symmetric in the point and the mean"

EQUIVALENT = {
    "kl_isotropic: mean1 <-> mean2": SQUARE,
    "kl_diagonal: mean1 <-> mean2": SQUARE,
    "kl_full: mean1 <-> mean2": SQUARE,
    "continuous_term: prediction <-> target": SQUARE,
    "finite_term: prediction <-> target": SQUARE,
    "l_simple: prediction <-> target": SQUARE,
    "squared_decoder: log_density(x0, mean, 1) -> log_density(mean, x0, 1)": SYMMETRIC,
    "elbo_joint: log_density(states[0], 0 * states[0], 1) -> log_density(0 * states[0], states[0], 1)": SYMMETRIC,
    "elbo_bayes: log_density(states[0], 0 * states[0], 1) -> log_density(0 * states[0], states[0], 1)": SYMMETRIC,
    "elbo_joint: log_density(states[i], sqrt(alpha) * states[i + 1], beta) -> log_density(sqrt(alpha) * states[i + 1], states[i], beta)": (
        SYMMETRIC
    ),
    "latent_elbo: log_density(x, mean @ loading.T + bias, variance) -> log_density(mean @ loading.T + bias, x, variance)": SYMMETRIC,
    "weight_eps: transition(t, s, betas) -> transition(s, t, betas)": "beta^2 / alpha stays: alpha becomes 1 / alpha, beta -beta / alpha",
    "squared_decoder: variance squared": UNUSED,
    "squared_decoder: variance read as a logarithm": UNUSED,
    "squared_decoder: square root of variance": UNUSED,
}
