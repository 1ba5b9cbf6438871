"""More alternatives of the field, as whole formulas, for the search alone: layers, samplers, likelihoods."""

# ruff: noqa: F821  (these functions are bound to the globals of the formulas)
# mypy: ignore-errors


def normalize(x, groups):
    """groups are cut out by a reshape alone: a group is a strip of places, with all channels"""
    return normalize(x.reshape(len(x), -1, 1).swapaxes(1, 2), groups).reshape(x.shape)


def scaled_dot_product(q, k, v, heads):
    """heads are cut out by a reshape alone, which mixes places and channels"""
    cut = [each.reshape(len(each), heads, -1, each.shape[-1] // heads) for each in (q, k, v)]
    parts = [fit(cut[0][:, h], cut[1][:, h]) @ cut[2][:, h] for h in range(heads)]
    return np.stack(parts, axis=1).reshape(q.shape)


def scaled_dot_product_of_merged_heads(q, k, v, heads):
    """the heads' answers are merged by a reshape alone, without their places in front"""
    parts = np.split(scaled_dot_product(q, k, v, heads), heads, axis=-1)
    return np.stack(parts, axis=1).reshape(q.shape)


def scaled_dot_product_of_strided_heads(q, k, v, heads):
    """a head has every heads-th channel, not neighbours"""
    order = np.arange(q.shape[-1]).reshape(-1, heads).T.ravel()
    answer = 0 * q
    answer[..., order] = scaled_dot_product(q[..., order], k[..., order], v[..., order], heads)
    return answer


def scaled_dot_product_of_the_past(q, k, v, heads):
    """every place attends only to itself and to those before it"""
    rows = [scaled_dot_product(q[:, i : i + 1], k[:, : i + 1], v[:, : i + 1], heads) for i in range(q.shape[1])]
    return np.concatenate(rows, axis=1)


def ddim_step(prediction, x_t, t, s, betas, noise, eta, kind, clip=None):
    """clip limits x_s, not the implied x0"""
    x_s = ddim_step(prediction, x_t, t, s, betas, noise, eta, kind)
    return x_s if clip is None else np.clip(x_s, -clip, clip)


def ddim_step_with_larger_noise(prediction, x_t, t, s, betas, noise, eta, kind, clip=None):
    """the noise has the variance eta^2 beta_{t|s} (sigma hat), while the rest is that of eta^2 beta-tilde"""
    still = ddim_step(prediction, x_t, t, s, betas, 0 * noise, eta, kind, clip)
    return still + eta * sqrt(transition(t, s, betas)[1]) * noise


def ddpm_step(prediction, x_t, t, s, betas, noise, kind, variance, mix=None, clip=None):
    """clip limits x_s, not the implied x0"""
    x_s = ddpm_step(prediction, x_t, t, s, betas, noise, kind, variance, mix)
    return x_s if clip is None else np.clip(x_s, -clip, clip)


def ddim_sample(model, grid, x, noise, betas, eta, kind, clip=None):
    """the implied x0 of every step are returned, not the states"""
    states = ddim_sample(model, grid, x, noise, betas, eta, kind, clip)
    implied = [to_x0(model(states[i], grid[i]), states[i], grid[i], betas, kind) for i in range(len(grid) - 1)]
    return np.stack([x, *implied])


def ddpm_sample(model, grid, x, noise, betas, kind, variance, clip=None):
    """the implied x0 of every step are returned, not the states"""
    states = ddpm_sample(model, grid, x, noise, betas, kind, variance, clip)
    implied = [to_x0(model(states[i], grid[i]), states[i], grid[i], betas, kind) for i in range(len(grid) - 1)]
    return np.stack([x, *implied])


def quadratic(T, beta_start, beta_end):
    """beta grows with the square of time: start + (end - start) u^2"""
    u = np.arange(T) / max(T - 1, 1)
    return 1000 * (beta_start + (beta_end - beta_start) * u**2) / T


def sigmoid_betas(T, start, end, tau, beta_max):
    """the betas, not the alpha_bars, follow a sigmoid"""
    return beta_max * sigmoid((start + np.arange(T) / max(T - 1, 1) * (end - start)) / tau)


def discretized_log_likelihood(x, mean, std, levels):
    """as in OpenAI's code: the normal CDF by a tanh, logarithms of at least 1e-12, and the ends where |x| is above 0.999"""
    half, centred = 1 / (levels - 1), x - mean
    above, below = ((1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))) / 2 for z in ((centred + half) / std, (centred - half) / std))
    inner = log(np.maximum(above - below, 1e-12))
    lower, upper = log(np.maximum(above, 1e-12)), log(np.maximum(1 - below, 1e-12))
    return event_sum(np.where(x < -0.999, lower, np.where(x > 0.999, upper, inner)))


def discretized_log_likelihood_of_at_least(x, mean, std, levels):
    """logarithms of probabilities are at least log(1e-12)"""
    each = discretized_log_likelihood(x.reshape(-1, 1), np.broadcast_to(mean, x.shape).reshape(-1, 1), (std + 0 * x).reshape(-1, 1), levels)
    return event_sum(np.maximum(each.reshape(x.shape), np.log(1e-12)))
