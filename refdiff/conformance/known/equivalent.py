"""Equivalent mutants, which no vector can kill, and the reason for each."""

from . import equivalent_elbo, equivalent_layers

EQUIVALENT = (
    equivalent_elbo.EQUIVALENT
    | equivalent_layers.EQUIVALENT
    | {
        "trajectory_log_density: log_density(states[i], sqrt(alpha) * states[i + 1], beta) -> "
        "log_density(sqrt(alpha) * states[i + 1], states[i], beta)": "a Gaussian's density is symmetric in value and mean",
        "reverse_log_density: log_density(states[0], 0 * states[0], 1) -> "
        "log_density(0 * states[0], states[0], 1)": "a Gaussian's density is symmetric in value and mean",
        "target: x0 -> noise (2)": "only the shape of this argument counts",
        "ddpm_step: x_t -> noise (4)": "only the shape of this argument counts",
        **{f"corrector_size: input {name} negated": "only its length counts" for name in ("noise", "score")},
        "differences: signal <-> sigma": "every lambda changes its sign, and only ratios of differences count",
        "dpmpp_sample: sigma -> sqrt(sigma)": "only whether it is 0 counts",
        "dpmpp_sample: sigma -> sigma ** 2": "only whether it is 0 counts",
        **{f"plms_step: -1 -> 1{place}": "there are two levels: the last one is that of index 1" for place in ("", " (2)", " (3)", " (4)")},
        "prior_kl: input betas reversed": "alpha_bar_T is a product, in any order",
        "bridge_drift: 2 -> 1 (4)": "the sums over both sets, in the other order",
        "gaussian_bridge: solve(covariance, ((1 - t) * (K.T - cov_noise) + t * (cov_data - K - added)).T).T -> "
        "solve(covariance, ((1 - t) * (K.T - cov_noise) + t * (cov_data - K - added)).T)": "the slope is symmetric: the drift is a gradient",
        "at_infinity: 1 -> 2": "the line's value at 0 is the same for any multiple of 1 / n",
        **{f"information: 1 -> 2{place}": "where a probability is 0, its factor is 0" for place in ("", " (2)")},
        **dict.fromkeys(
            (
                "energy_distance: squares(x, y) -> squares(y, x)",
                "energy_distance: two_sample(-sqrt(squares(x, x)), -sqrt(squares(y, y)), -sqrt(squares(x, y)), statistic) -> "
                "two_sample(-sqrt(squares(y, y)), -sqrt(squares(x, x)), -sqrt(squares(x, y)), statistic)",
                "frechet_distance: mean1 <-> mean2",
                "frechet_of_features: frechet_distance(*moments_of(x), *moments_of(y)) -> frechet_distance(*moments_of(y), *moments_of(x))",
                "kid_over_subsets: kid(x[i], y[j], 'U') -> kid(y[j], x[i], 'U')",
                "mmd: (x, y) -> (y, x)",
                "mmd: a <-> b",
                "mmd: squares(a, b) -> squares(b, a)",
            ),
            "a distance is the same from either set",
        ),
    }
)
