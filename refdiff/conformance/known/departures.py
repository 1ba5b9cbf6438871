"""Known departures that are no small change of an expression: whole formulas of real implementations."""

# ruff: noqa: F821  (these functions are bound to the globals of the formulas)
# mypy: ignore-errors


def grid_by_floats(kind, T, S):
    """grid, trailing: counted down by a float stride T / S until 0, which for some S gives one time too many, and
    rounded to even.
    """
    if kind != "trailing":
        return grid(kind, T, S)
    return np.append(np.round(np.arange(T, 0, -T / S)).astype(int), 0)


def grid_rounded_to_even(kind, T, S):
    """grid: halves rounded to the even neighbour, as numpy.round does."""
    i = np.arange(S, 0, -1)
    if kind == "linspace" and S > 1:
        return np.append(1 + np.round((i - 1) * ((T - 1) / (S - 1))).astype(int), 0)
    if kind == "trailing":
        return np.append(np.round(i * (T / S)).astype(int), 0)
    if kind == "quadratic":
        return np.append(np.maximum(i, np.round(i**2 * T / S**2).astype(int)), 0)
    return grid(kind, T, S)


def ddim_sample_by_stride(model, grid, x, noise, betas, eta, kind, clip=None):
    """ddim_sample: the next time is t - T // S, not the next entry of the grid."""
    stride, states = len(betas) // (len(grid) - 1), [x]
    for i in range(len(grid) - 1):
        t, s = grid[i], max(grid[i] - stride, 0)
        states.append(ddim_step(model(states[-1], t), states[-1], t, s, betas, noise[i], eta, kind, clip))
    return np.stack(states)


def ddpm_sample_by_stride(model, grid, x, noise, betas, kind, variance, clip=None):
    """ddpm_sample: the next time is t - T // S, not the next entry of the grid."""
    stride, states = len(betas) // (len(grid) - 1), [x]
    for i in range(len(grid) - 1):
        t, s = grid[i], max(grid[i] - stride, 0)
        states.append(ddpm_step(model(states[-1], t), states[-1], t, s, betas, noise[i], kind, variance, None, clip))
    return np.stack(states)


def ddim_step_keeping_eps(prediction, x_t, t, s, betas, noise, eta, kind, clip=None):
    """ddim_step: x0 is clipped, eps is not recomputed."""
    ab, x0, eps = alpha_bar(betas), to_x0(prediction, x_t, t, betas, kind), to_eps(prediction, x_t, t, betas, kind)
    if clip is not None:
        x0 = np.clip(x0, -clip, clip)
    var = eta**2 * posterior_variance(t, s, betas)
    return sqrt(ab[s]) * x0 + sqrt(1 - ab[s] - var) * eps + sqrt(var) * noise


def ddim_step_stopping_early(prediction, x_t, t, s, betas, noise, eta, kind, clip=None):
    """ddim_step: the last step stops at alpha_bar_1, not at 1."""
    return ddim_step(prediction, x_t, t, max(s, 1), betas, noise, eta, kind, clip) if t > 1 else x_t


def model_variance_with_floor(variance, x_t, t, s, betas, mix=None):
    """model_variance: on the last step beta-tilde is replaced by that of the step from 2 to 1, as where its logarithm
    is stored.
    """
    return model_variance(variance, x_t, max(t, 2) if s == 0 else t, max(s, 1), betas, mix)


def heun_step_ending_in_euler(f, x, t, s):
    """heun_step: the step that reaches an end of [0, 1] is Euler's."""
    return euler_step(f, x, t, s) if s in (0, 1) else heun_step(f, x, t, s)


def ode_sample_by_steps_less_one(f, method, times, x):
    """ode_sample: steps of 1 / (steps - 1)."""
    n = len(times) - 1
    return ode_sample(f, method, times[0] + (times[-1] - times[0]) * np.arange(n + 1) / max(n - 1, 1), x)


def ode_sample_of_equal_steps(f, method, times, x):
    """ode_sample: equal steps, regardless of the times."""
    n = len(times) - 1
    return ode_sample(f, method, times[0] + (times[-1] - times[0]) * np.arange(n + 1) / n, x)


def ddim_sample_log_linear(model, grid, x, noise, betas, eta, kind, clip=None):
    """ddim_sample: noise levels in equal steps of log sigma from T to 1, not those of the grid's times, at which the
    model is evaluated.
    """
    ab, n, states = alpha_bar(betas), len(grid) - 1, [x]
    first, last = (log((1 - ab[t]) / ab[t]) / 2 for t in (len(betas), 1))
    levels = 1 / (1 + exp(2 * (first + np.arange(n + 1) * (last - first) / n)))
    for i in range(n):
        signal, sigma = sqrt(levels[i]), sqrt(1 - levels[i])
        a, b = weights(kind, signal, sigma)
        prediction = model(states[-1], grid[i])
        x0 = (b * states[-1] - sigma * prediction) / (signal * b - sigma * a)
        eps = (signal * prediction - a * states[-1]) / (signal * b - sigma * a)
        states.append(sqrt(levels[i + 1]) * x0 + sqrt(1 - levels[i + 1]) * eps)
    return np.stack(states)
