"""Where the contract asks for less, and why. A key is a parameter, or a function, class or module and its parameter."""

UNDAMAGED = {
    "name": "the words of a message, which the function that checks gives",
    "low": "a bound, which the function that checks gives",
    "high": "a bound, which the function that checks gives",
    "open_low": "a bound, which the function that checks gives",
    "allowed": "a bound, which the function that checks gives",
    "last.states": "any iterable of anything",
    "attention.p": "parameters of a layer: networks check theirs on entry",
    "convolution.p": "parameters of a layer: networks check theirs on entry",
    "layers.p": "parameters of a layer: networks check theirs on entry",
    "norm.p": "parameters of a layer: networks check theirs on entry",
    "normalize.p": "parameters of a layer: networks check theirs on entry",
    "CleanPath": "a path without noise: it ignores the time",
    "as_network.y": "ignored: the labels are the target of a classifier",
    "workers": "threads and processes have tests of their own",
    "step.batch": "a batch as `draw` makes it; the network checks its points and times",
    "value_and_grad.batch": "a batch as `draw` makes it; the network checks its points and times",
    "squared_decoder.variance": "its variance is 1, whatever the model's is: at s = 0 that may be 0",
}
CONSTRUCTORS = {
    "training.loop.State": "made by `start` and `update`, which check their trees",
    "sampling.mixture.Mixture": "made by the functions of `oracles`, which check its parts",
}
INFINITE = {  # infinite numbers as arguments, or as results of finite ones
    "flow_time.log_snr": "the log-SNR of pure data and of pure noise",
    "flow_log_snr.tau": "the log-SNR of pure data and of pure noise",
    "half_log_snr.t": "the log-SNR of pure data and of pure noise",
    "noise_to_signal.t": "the ratio of pure noise",
    "clip.limit": "no limit",
    "Config.clip": "no limit",
    "latent.values": "-inf is the logarithm of probability 0",
    "latent.log_likelihood": "-inf is the logarithm of probability 0",
    "latent.log_joint": "-inf is the logarithm of probability 0",
}
VALUES = ("NaN", "complex NaN", "infinity", "huge")
SHAPES = ("rank", "batch", "empty", "structure")
NOT_CHECKED = {  # categories of damage that a function lets pass or meets with NumPy's own errors
    "attention": (VALUES, "a layer: to read its input would cost a pass over memory, and networks, samplers and training check theirs"),
    "convolution": (VALUES, "a layer"),
    "layers": (VALUES, "a layer"),
    "norm": (VALUES, "a layer"),
    "normalize": (VALUES, "a layer"),
    "log_likelihood.t": (("huge",), "how far a solution grows is its equation's affair"),
    "log_likelihood.s": (("huge",), "how far a solution grows is its equation's affair"),
    "solve_adaptive.t": (("huge",), "how far a solution grows is its equation's affair"),
    "solve_adaptive.s": (("huge",), "how far a solution grows is its equation's affair"),
    **{
        f"optim.{name}": (VALUES, "as large as all parameters: training checks the loss")
        for name in ("params", "grads", "state", "average")
    },
    **{f"loop.{name}": (VALUES, "as large as all parameters: training checks the loss") for name in ("params", "grads")},
    "check_times.times": (("floats",), "the times of a flow are real numbers"),
    "weighted.loss": (("integers", "lists"), "a loss without a precision of its own is float64"),
    "as_model.params": (VALUES + SHAPES, "the parameters of a network, as below"),
    "value_and_grad.params": (
        (*VALUES, *SHAPES, "complex"),
        "as below; complex parameters are for complex steps through the network itself",
    ),
    "p": (
        VALUES + SHAPES,
        "the parameters of a network, which its init has made: types and names are checked, samplers check what follows",
    ),
}
ALIASES = {  # other words by which an error may name a parameter: entries of a table, or what is computed from it
    "alpha_bars": "(log_)?alpha_bar(_[0-9]+)?|table",
    "beta_end": "beta_[0-9]+|log_alpha_bar",
    "beta_start": "beta_[0-9]+",
    "betas": "beta_[0-9]+",
    "covariance": "covariances|covariance1",
    "LinearGaussian.noise": "covariance",
    "discretized_decoder.variance": "std",
    "discretized_decoder.x0": "x",
    "from_flow.tau": "t",
    "gaussian.mean": "means",
    "embedding.labels": "y",
    "mixture.means": "x",
    "point": "points|means|x",
    "points": "means|x",
    "sample.grid": "t|s",
    "sweep.grid": "t|s",
    "loop.data": "x0",
    "loop.labels": "y|no_label",
    "as_model.params": "p",
    "value_and_grad.params": "p",
    "beta_min": "beta_max",
    "Sde.end": "t",
    "edm.sigma_max": "t",
    "edm_training.sigma_max": "t",
    "sigma_min": "sigma_max",
    "condition.y": "x",
    "flow_map.x": "signal|sigma",
    "flow_map.t": "signal|sigma",
    "flow_map.s": "t|signal|sigma",
    "log_cdf.x": "signal|sigma",
    "transport.s": "t",
    "transport.t": "signal",
    "transport.x": "signal",
    "increment.end": "s|t",
    "Increments.end": "grid",
    "residual.t": "signal|sigma",
    "log_density_rate.t": "signal|sigma",
    "from_flow.x_tau": "t",
    "heun_step.t": "x",
    "heun_step.s": "x",
    "rk4_step.t": "x",
    "rk4_step.s": "x",
    "Schedule.log_alpha": "log_alpha_bar.*",
    "sample.x": "prediction",
    "shared_noise_interpolation.weight": "noise",
    "from_log_snr.log_snr": "log_snrs?(_[0-9]+)?|log_alpha_bar|table",
    "sigmoid.tau": "start",
    "source": "kind",
    "times": "grid",
    "to": "kind",
}


def entry(table, call, parameter):
    """The entry of a table for a parameter of a call, or None."""
    *_, owner, own = ("", *call.name.split("."))
    keys = (f"{owner}.{own}.{parameter}", f"{own}.{parameter}", f"{owner}.{parameter}", parameter, owner)
    return next((table[key] for key in keys if key in table), None)
