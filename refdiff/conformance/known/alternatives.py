"""Alternatives of the field: other methods under the same name, as whole formulas. The search tries them; the vectors do not list them."""

# ruff: noqa: F821  (these functions are bound to the globals of the formulas)
# mypy: ignore-errors

EDITS = {  # alternatives that all formulas take over which use them: the text; a formula, an expression of it, and its replacement, ...
    "continuous-time": (
        "alpha_bar is exp(-sum of betas), the limit of continuous time, not the product of 1 - beta",
        ("alpha_bar", "np.cumprod(1 - betas)", "exp(-np.cumsum(betas))"),
    ),
    "beta-of-one-step": (
        "beta is the table's beta_t, also on steps that skip times",
        ("model_variance", "transition(t, s, betas)", "(0, betas[t - 1])"),
    ),
    "variances-of-one-step": (
        "beta, and the beta in beta-tilde, is the table's beta_t, also on steps that skip times",
        ("model_variance", "transition(t, s, betas)", "(0, betas[t - 1])"),
        ("posterior_variance", "transition(t, s, betas)", "(0, betas[t - 1])"),
    ),
    "pairs-of-scale-and-shift": (
        "scale and shift alternate in the linear layer's output",
        (
            "adaptive_group_norm",
            "np.split(linear_layer(emb, w, b), 2, axis=1)",
            "(lambda both: (both[:, ::2], both[:, 1::2]))(linear_layer(emb, w, b))",
        ),
    ),
}


def grid(kind, T, S):
    """times are computed as floats and cut off, not rounded"""
    if kind == "linspace":
        return np.append(np.linspace(1, T, S)[::-1].astype(int) if S > 1 else [T], 0)
    if kind == "trailing":
        return np.append((np.arange(S, 0, -1) * (T / S)).astype(int), 0)
    i = np.arange(S, 0, -1)
    return np.append(np.maximum(i, (T * (i / S) ** 2).astype(int)), 0) if kind == "quadratic" else grid(kind, T, S)


def grid_by_whole_strides(kind, T, S):
    """times go in strides of T // S, which gives more than S of them where S does not divide T"""
    return np.append(np.arange(1, T + 1, T // S)[::-1], 0) if kind == "leading" else grid(kind, T, S)


def grid_of_the_smallest_stride(kind, T, S):
    """the stride is the smallest whole one that gives S times ("ddimN" of respaced steps)"""
    stride = next(n for n in range(1, T + 1) if len(range(0, T, n)) == S)
    return np.append(1 + np.arange(0, T, stride)[::-1], 0) if kind == "leading" else grid(kind, T, S)


def grid_sectioned(kind, T, S):
    """linspace times are those of respaced steps: 1 + i strides (T - 1) / (S - 1), added up as floats and rounded to even"""
    strides = np.cumsum([0.0, *[(T - 1) / max(S - 1, 1)] * (S - 1)])
    return np.append(1 + np.round(strides).astype(int)[::-1], 0) if kind == "linspace" else grid(kind, T, S)


def rk4_step(f, x, t, s):
    """the 3/8 rule of order 4, not the classical Runge-Kutta step"""
    h = s - t
    k1 = f(x, t)
    k2 = f(x + h * k1 / 3, t + h / 3)
    k3 = f(x + h * (k2 - k1 / 3), t + 2 * h / 3)
    return x + h * (k1 + 3 * k2 + 3 * k3 + f(x + h * (k1 - k2 + k3), s)) / 8


def rk4_step_as_midpoint(f, x, t, s):
    """the midpoint rule, of order 2"""
    return x + (s - t) * f(x + (s - t) / 2 * f(x, t), (t + s) / 2)


def heun_step(f, x, t, s):
    """the midpoint rule, not the mean of the slopes at both ends"""
    return x + (s - t) * f(x + (s - t) / 2 * f(x, t), (t + s) / 2)


def heun_step_of_ralston(f, x, t, s):
    """Ralston's method: the second slope at two thirds of the step, with weight 3/4"""
    h, k1 = s - t, f(x, t)
    return x + h * (k1 + 3 * f(x + 2 * h / 3 * k1, t + 2 * h / 3)) / 4


def euler_step(f, x, t, s):
    """the midpoint rule, of order 2, not Euler's"""
    return x + (s - t) * f(x + (s - t) / 2 * f(x, t), (t + s) / 2)


def model_variance(variance, x_t, t, s, betas, mix=None):
    """beta stands for beta-tilde on the step to s = 0, where beta-tilde is 0"""
    return model_variance("beta" if variance == "posterior" and np.all(s == 0) else variance, x_t, t, s, betas, mix)


def model_variance_of_the_step_before(variance, x_t, t, s, betas, mix=None):
    """on the step to s = 0, beta is beta-tilde of the step before it, as OpenAI's fixed_large has it"""
    if variance == "beta" and np.all(s == 0) and np.all(2 * t <= len(betas)):
        return model_variance("posterior", x_t, 2 * t, t, betas)
    return model_variance(variance, x_t, t, s, betas, mix)


def classifier_free(unconditional, conditional, gamma):
    """projected guidance: of the difference, only the component orthogonal to the conditional prediction"""
    difference = conditional - unconditional
    along = event_sum(difference * conditional) / event_sum(conditional**2)
    gamma = per_example(gamma, conditional)
    return conditional + (gamma - 1) * (difference - along.reshape([-1] + [1] * (conditional.ndim - 1)) * conditional)


def min_snr_weight(t, betas, gamma, kind):
    """the soft minimum SNR gamma / (SNR + gamma) for the minimum of SNR and gamma"""
    ratio = alpha_bar(betas)[t] / (1 - alpha_bar(betas)[t])
    soft = ratio * gamma / (ratio + gamma)
    return soft / ratio if kind == "eps" else soft if kind == "x0" else soft / (ratio + 1)


def min_snr_weight_of_v(t, betas, gamma, kind):
    """for v, min(SNR + 1, gamma) / (SNR + 1): 1 is added inside the minimum too"""
    ratio = alpha_bar(betas)[t] / (1 - alpha_bar(betas)[t])
    return np.minimum(ratio + 1, gamma) / (ratio + 1) if kind == "v" else min_snr_weight(t, betas, gamma, kind)


def time_features(t, features):
    """sines and cosines take turns over the examples of the batch, not over the features"""
    right = time_features(t, features)
    sines, cosines = right[:, : features // 2], right[:, features // 2 :]
    even = (np.arange(len(right)) % 2 == 0)[:, None]
    return np.where(even, np.concatenate([sines, sines], axis=1), np.concatenate([cosines, cosines], axis=1))


def couple_optimally(data, noise):
    """every noise takes its nearest data point, which need not be a permutation"""
    distance = ((data[:, None] - noise[None]) ** 2).reshape(len(data), len(noise), -1).sum(axis=2)
    return distance.argmin(axis=0)


def up(x):
    """every pixel is followed by zeros, as before a transposed convolution, not repeated"""
    larger = 0 * x.repeat(2, axis=1).repeat(2, axis=2)
    larger[:, ::2, ::2] = x
    return larger


def conv_vjp(x, w, b, stride, dy):
    """the derivative in the image forgets the stride"""
    _, dw, db = conv_vjp(x, w, b, stride, dy)
    wide = np.zeros_like(conv(x, w, b, 1))
    wide[:, : dy.shape[1], : dy.shape[2]] = dy
    return conv_vjp(x, w, b, 1, wide)[0], dw, db


def learning_rate(step, peak, warmup, total, floor):
    """the rate decays linearly after the warm-up, not along a cosine"""
    return peak * step / warmup if step <= warmup else floor + (peak - floor) * (total - min(step, total)) / (total - warmup)


def learning_rate_held_above(step, peak, warmup, total, floor):
    """the cosine goes down to 0, and is held above the floor"""
    return (
        max(floor, peak * (1 + cos(pi(peak) * (min(step, total) - warmup) / (total - warmup))) / 2)
        if step > warmup
        else peak * step / warmup
    )


def adam(params, grads, rate, beta1, beta2, eps):
    """AMSGrad: the largest second moment so far"""
    m, second, largest, states = 0 * params, 0 * params, 0 * params, []
    for step, gradient in enumerate(grads, 1):
        m, second = moments(m, second, gradient, beta1, beta2)
        largest = np.maximum(largest, second)
        params = params - rate * direction(m, largest, step, beta1, beta2, eps)
        states.append(params)
    return np.stack(states)


def slerp(a, b, weight):
    """the noises are scaled to length 1, and so is the answer"""
    one = [x / np.sqrt(event_sum(x**2)).reshape([-1] + [1] * (x.ndim - 1)) for x in (a, b)]
    return slerp(*one, weight)
