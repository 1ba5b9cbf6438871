"""Known departures in practice that are whole formulas: samplers, couplings, guidance, clipping and layers."""

# ruff: noqa: F821  (these functions are bound to the globals of the formulas)
# mypy: ignore-errors


def grid_trailing_by_floor(kind, T, S):
    """grid, trailing: rounded down."""
    i = np.arange(S, 0, -1)
    return np.append(i * T // S, 0) if kind == "trailing" else grid(kind, T, S)


def grid_quadratic_of_ddim(kind, T, S):
    """grid, quadratic: squares of equal steps up to sqrt(0.8 T), 1 added, as in DDIM's code."""
    if kind != "quadratic":
        return grid(kind, T, S)
    return np.append((np.linspace(0, np.sqrt(T * 0.8), S) ** 2).astype(int)[::-1] + 1, 0)


def slerp_of_the_batch(a, b, weight):
    """slerp: one angle for the whole batch."""
    u = arccos((a * b).sum() / sqrt((a**2).sum() * (b**2).sum()))
    return sin((1 - weight) * u) / sin(u) * a + sin(weight * u) / sin(u) * b


def slerp_without_norms(a, b, weight):
    """slerp: the scalar product is not divided by the norms, but clipped to -1..1."""
    u = per_example(arccos(np.clip(event_sum(a * b), -1, 1)), a)
    return sin((1 - weight) * u) / sin(u) * a + sin(weight * u) / sin(u) * b


def slerp_with_threshold(a, b, weight):
    """slerp: linear where the cosine is beyond 0.95."""
    cosine_of = per_example(abs(event_sum(a * b)) / sqrt(event_sum(a**2) * event_sum(b**2)), a)
    return np.where(cosine_of > 0.95, (1 - weight) * a + weight * b, slerp(a, b, weight))


def ode_sample_by_length(f, method, times, x):
    """ode_sample: the length of a step is taken without its sign."""
    forwards = times[-1] > times[0]
    return ode_sample(f if forwards else lambda x, t: -f(x, t), method, times, x)


def posterior_variance_with_floor(t, s, betas):
    """posterior_variance: on the last step that of the step from 2 to 1."""
    last = s == 0
    return posterior_variance(np.where(last, np.maximum(t, 2), t), np.where(last, 1, s), betas)


def couple_by_distance(data, noise):
    """couple_optimally: the least total distance, not squared."""
    distance = sqrt(((data[:, None] - noise[None]) ** 2).reshape(len(data), len(noise), -1).sum(axis=2))
    column = np.arange(len(noise))
    return np.array(min(permutations(range(len(data))), key=lambda order: distance[list(order), column].sum()))


def couple_greedily(data, noise):
    """couple_optimally: every noise takes the nearest data point that is left."""
    distance = ((noise[:, None] - data[None]) ** 2).reshape(len(noise), len(data), -1).sum(axis=2)
    order = []
    for row in distance:
        order.append(min((j for j in range(len(data)) if j not in order), key=lambda j: row[j]))
    return np.array(order)


def inception_score_with_one_marginal(probabilities, splits):
    """inception_score: every part is compared with the mean row of all rows."""
    n, q = len(probabilities), probabilities.mean(axis=0)
    parts = [probabilities[k * n // splits : (k + 1) * n // splits] for k in range(splits)]
    terms = [p * (log(np.where(p == 0, 1, p)) - log(np.where(q == 0, 1, q))) for p in parts]
    return mean_and_std(np.array([exp(each.sum() / len(each)) for each in terms]))


def guidance_rescaled(unconditional, conditional, gamma):
    """classifier_free: 0.7 of it with the standard deviation of the conditional answer."""
    guided = classifier_free(unconditional, conditional, gamma)

    def deviation(x):
        mean = per_example(event_mean(x), x)
        return per_example(sqrt(event_mean((x - mean) ** 2)), x)

    return (7 * guided * deviation(conditional) / deviation(guided) + 3 * guided) / 10


def thresholded_dynamically(prediction, x_t, t, betas, kind, limit):
    """clip_x0: x0 divided by its largest value beyond the limit, example by example."""
    x0 = to_x0(prediction, x_t, t, betas, kind)
    largest = per_example(np.maximum(abs(x0).reshape(len(x0), -1).max(axis=1), limit), x0)
    return convert(x0 / largest * limit, x_t, t, betas, "x0", kind)


def clipped_as_it_comes(prediction, x_t, t, betas, kind, limit):
    """clip_x0: the prediction itself is clipped, not x0."""
    return np.clip(prediction, -limit, limit)


def embedding_vjp_without_repeats(labels, table, dy):
    """embedding_vjp: of several examples with the same label, only the last one counts."""
    dtable = 0 * table
    dtable[labels] = dy
    return dtable


def attention_causal(q, k, v, heads):
    """scaled_dot_product: no position attends to later ones, where there are as many keys as queries."""
    if q.shape[1] != k.shape[1]:
        return scaled_dot_product(q, k, v, heads)
    seen_so_far = [scaled_dot_product(q[:, i : i + 1], k[:, : i + 1], v[:, : i + 1], heads) for i in range(q.shape[1])]
    return np.concatenate(seen_so_far, axis=1)


def up_bilinear(x):
    """up: between pixels, 3 parts of the nearer and 1 of the farther, as bilinear interpolation without aligned corners."""
    for axis in (1, 2):
        n = x.shape[axis]
        before, after = x.take(np.maximum(np.arange(n) - 1, 0), axis), x.take(np.minimum(np.arange(n) + 1, n - 1), axis)
        pair = np.stack([(3 * x + before) / 4, (3 * x + after) / 4], axis=axis + 1)
        x = pair.reshape((*x.shape[:axis], 2 * n, *x.shape[axis + 1 :]))
    return x


def conv_padded_after(x, w, b, stride):
    """conv: at stride 2, all zero padding is at the lower and right edges."""
    r, y = len(w) // 2, b
    if stride == 1:
        return conv(x, w, b, stride)
    padded = np.pad(x, ((0, 0), (0, 2 * r), (0, 2 * r), (0, 0)))
    for i, j in np.ndindex(w.shape[:2]):
        y = y + seen(padded, x, i, j, stride) @ w[i, j]
    return y
