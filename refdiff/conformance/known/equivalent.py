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
    }
)
