"""Known mistakes and conventions of real layers, optimizers and training loops: what each puts in the place of what, in which formula."""

from __future__ import annotations

Known = tuple[str, tuple[tuple[str, str, str], ...]]  # what is different; (function, expression, what stands there instead), ...

_NORMAL = "dy - group_mean(dy) - y * group_mean(y * dy)"
_STEP = "direction(m, second, step, beta1, beta2, eps)"
_DEBIASED = "m / (1 - beta1 ** step) / (sqrt(second / (1 - beta2 ** step)) + eps)"
_FEATURES = "np.concatenate([sin(angles), cos(angles)], axis=1)"
_COSINES_FIRST = "np.concatenate([cos(angles), sin(angles)], axis=1)"
_PAD = "np.pad(x, ((0, 0), (r, r), (r, r), (0, 0)))"
_EVEN = "[:, (stride - 1) * (1 - x.shape[1] % 2) * (len(w) // 2):, (stride - 1) * (1 - x.shape[2] % 2) * (len(w) // 2):]"
_HALVES = "np.split(linear_layer(emb, w, b), 2, axis=1)"

LAYERS: tuple[Known, ...] = (
    ("time features with the cosines first", (("time_features", _FEATURES, _COSINES_FIRST),)),
    ("frequencies with / half in place of / (half - 1)", (("time_features", "features // 2 - 1", "features // 2"),)),
    (
        "time features with the cosines first and / half, as OpenAI's and DiT's",
        (("time_features", _FEATURES, _COSINES_FIRST), ("time_features", "features // 2 - 1", "features // 2")),
    ),
    (
        "sines and cosines take turns, as in the Transformer's text",
        (("time_features", _FEATURES, "np.stack([sin(angles), cos(angles)], axis=-1).reshape(len(t), -1)"),),
    ),
    ("time in 0..1 in place of 0..1000", (("time_features", "t[:, None] * w", "t[:, None] / 1000 * w"),)),
    ("time scaled by 1000 once too often", (("time_features", "t[:, None] * w", "1000 * t[:, None] * w"),)),
    ("GELU's sigmoid approximation in place of SiLU", (("silu", "sigmoid(x)", "sigmoid(1.702 * x)"),)),
    ("ReLU in place of SiLU", (("silu", "sigmoid(x)", "(x > 0)"),)),
    ("SiLU's derivative without the term of x", (("silu_vjp", "1 + x * (1 - gate)", "1"),)),
    ("the sigmoid's derivative in place of SiLU's", (("silu_vjp", "1 + x * (1 - gate)", "1 - gate"),)),
    ("a softmax that overflows", (("softmax", "z - z.max(axis=-1, keepdims=True)", "z"),)),
    ("softmax along the first axis", (("softmax", "weights_of_z.sum(axis=-1, keepdims=True)", "weights_of_z.sum(axis=0, keepdims=True)"),)),
    (
        "softmax's derivative by its diagonal alone",
        (("softmax_vjp", "y * (dy - (y * dy).sum(axis=-1, keepdims=True))", "y * (1 - y) * dy"),),
    ),
    ("softmax taken twice", (("cross_entropy", "logits - logits.max(axis=1, keepdims=True)", "softmax(logits)"),)),
    ("the cross-entropy's mean over the batch", (("cross_entropy_vjp", "dy[:, None] * difference", "dy[:, None] * difference / len(dy)"),)),
    (
        "the sample's variance, divided by n - 1",
        (
            (
                "centred_and_spread",
                "group_mean(centred ** 2)",
                "group_mean(centred ** 2) * centred[0, :, 0].size / (centred[0, :, 0].size - 1)",
            ),
        ),
    ),
    ("epsilon outside the root", (("centred_and_spread", "sqrt(variance + like(1, variance) / 100000)", "sqrt(variance) + 1e-5"),)),
    ("epsilon 1e-6", (("centred_and_spread", "100000", "1000000"),)),
    ("epsilon 1e-3", (("centred_and_spread", "100000", "1000"),)),
    ("epsilon 1e-8", (("centred_and_spread", "100000", "100000000"),)),
    ("no epsilon", (("centred_and_spread", "variance + like(1, variance) / 100000", "variance"),)),
    (
        "every place normalized by itself, as LayerNorm does",
        (("group_mean", "x.mean(axis=1, keepdims=True).mean(axis=3, keepdims=True)", "x.mean(axis=3, keepdims=True)"),),
    ),
    (
        "every channel normalized by itself, as InstanceNorm does",
        (("group_mean", "x.mean(axis=1, keepdims=True).mean(axis=3, keepdims=True)", "x.mean(axis=1, keepdims=True)"),),
    ),
    (
        "all channels normalized together, whatever the groups",
        (("group_mean", "x.mean(axis=1, keepdims=True).mean(axis=3, keepdims=True)", "x.mean(axis=(1, 2, 3), keepdims=True)"),),
    ),
    (
        "means over the batch too, as BatchNorm's",
        (("group_mean", "x.mean(axis=1, keepdims=True).mean(axis=3, keepdims=True)", "x.mean(axis=(0, 1, 3), keepdims=True)"),),
    ),
    (
        "every groups-th channel in a group, not neighbours",
        (
            (
                "grouped",
                "x.reshape(len(x), -1, groups, x.shape[-1] // groups)",
                "x.reshape(len(x), -1, x.shape[-1] // groups, groups).swapaxes(2, 3)",
            ),
            ("normalize", "centred / s", "(centred / s).swapaxes(2, 3)"),
            ("normalize_vjp", "dx.reshape(x.shape)", "dx.swapaxes(2, 3).reshape(x.shape)"),
        ),
    ),
    ("mean and variance taken for constants in the derivative", (("normalize_vjp", _NORMAL, "dy"),)),
    ("the variance taken for a constant in the derivative", (("normalize_vjp", _NORMAL, "dy - group_mean(dy)"),)),
    ("a learned scale used as 1 + scale", (("group_norm", "scale * normalize(x, groups)", "(1 + scale) * normalize(x, groups)"),)),
    (
        "scale in place of 1 + scale",
        (
            ("film", "1 + over_places(scale, x)", "over_places(scale, x)"),
            ("film_vjp", "1 + over_places(scale, x)", "over_places(scale, x)"),
        ),
    ),
    (
        "shift first, then scale",
        (
            ("adaptive_group_norm", _HALVES, f"{_HALVES}[::-1]"),
            ("adaptive_group_norm_vjp", _HALVES, f"{_HALVES}[::-1]"),
            ("adaptive_group_norm_vjp", "[dscale, dshift]", "[dshift, dscale]"),
        ),
    ),
    (
        "scaled and shifted before it is normalized",
        (("adaptive_group_norm", "film(normalize(x, groups), scale, shift)", "normalize(film(x, scale, shift), groups)"),),
    ),
)

NETWORKS: tuple[Known, ...] = (
    ("true convolution: the kernel turned round", (("conv", "w[i, j]", "w[-1 - i, -1 - j]"),)),
    ("the derivative in the image with the kernel turned round", (("conv_vjp", "w[i, j].T", "w[-1 - i, -1 - j].T"),)),
    ("the edge repeated in place of zeros", (("bordered", _PAD, f"{_PAD[:-1]}, mode='edge')"),)),
    ("the image going round at its edges", (("bordered", _PAD, f"{_PAD[:-1]}, mode='wrap')"),)),
    ("all zeros at the lower and right edge", (("bordered", _PAD, "np.pad(x, ((0, 0), (0, 2 * r), (0, 2 * r), (0, 0)))"),)),
    (
        "stride 2 with zeros at the lower and right edge only, as TensorFlow's SAME and DDPM's code",
        (("conv", "bordered(x, w)", f"np.pad(bordered(x, w), ((0, 0), (0, 2), (0, 2), (0, 0))){_EVEN}"),),
    ),
    (
        "stride 2 keeps the odd pixels",
        (
            (
                "seen",
                "padded[:, i:i + x.shape[1]:stride, j:j + x.shape[2]:stride]",
                "np.roll(padded, 1 - stride, axis=(1, 2))[:, i:i + x.shape[1]:stride, j:j + x.shape[2]:stride]",
            ),
        ),
    ),
    ("the derivative of upsampling is a mean", (("up_vjp", "four(dy)", "four(dy) / 4"),)),
    ("every pixel repeated by tiling the image", (("up", "x.repeat(2, axis=1).repeat(2, axis=2)", "np.tile(x, (1, 2, 2, 1))"),)),
    (
        "the largest of four pixels in place of their mean",
        (
            (
                "pool",
                "four(x) / 4",
                "np.maximum(np.maximum(x[:, 0::2, 0::2], x[:, 0::2, 1::2]), np.maximum(x[:, 1::2, 0::2], x[:, 1::2, 1::2]))",
            ),
        ),
    ),
    ("one pixel of four in place of their mean", (("pool", "four(x) / 4", "x[:, 0::2, 0::2]"),)),
    ("scores not divided by the root of d", (("scaled", "scores / sqrt(like(d, scores))", "scores"),)),
    ("scores divided by d", (("scaled", "sqrt(like(d, scores))", "like(d, scores)"),)),
    (
        "scores divided by the root of all channels, not of a head's",
        (("scaled_dot_product", "fit(q_h, k_h)", "fit(q_h / heads ** 0.5, k_h)"),),
    ),
    ("softmax over those who ask", (("fit", "softmax(fits(q, k))", "turned(softmax(turned(fits(q, k))))"),)),
    (
        "heads take turns in the channels",
        (
            ("apart", "np.split(x, heads, axis=-1)", "[x[..., h::heads] for h in range(heads)]"),
            ("scaled_dot_product", "np.concatenate(parts, axis=-1)", "np.stack(parts, axis=-1).reshape(q.shape)"),
        ),
    ),
    ("one head, whatever their number", (("apart", "np.split(x, heads, axis=-1)", "[x]"),)),
    ("the embedding gated in the block once more, as in guided-diffusion", (("block_by_scale", "emb", "silu(emb)"),)),
    (
        "the block's sum divided by the root of 2, as in score_sde",
        (("block_by_scale", "h + shortcut(x, shortcut_w, shortcut_b)", "(h + shortcut(x, shortcut_w, shortcut_b)) / 2 ** 0.5"),),
    ),
    (
        "the shift added after the second normalization",
        (
            ("block_by_shift", "h + over_places(linear_layer(emb, conditioning_w, conditioning_b), h)", "h"),
            (
                "block_by_shift",
                "group_norm(h, norm2_scale, norm2_shift, groups)",
                "group_norm(h, norm2_scale, norm2_shift, groups) + over_places(linear_layer(emb, conditioning_w, conditioning_b), h)",
            ),
        ),
    ),
    ("no shortcut", (("block_by_scale", "h + shortcut(x, shortcut_w, shortcut_b)", "h"),)),
    ("the skip connection in front of the layer below", (("concatenated", "[below, skip]", "[skip, below]"),)),
    ("the last convolution without silu", (("unet", "silu(states[-1])", "states[-1]"),)),
    ("attention without its shortcut", (("attend", "x + y.reshape(x.shape)", "y.reshape(x.shape)"),)),
)

TRAINING: tuple[Known, ...] = (
    ("Adam's epsilon inside the root", (("direction", "sqrt(second / (1 - beta2 ** step)) + eps", "sqrt(second / (1 - beta2 ** step) + eps)"),)),
    ("Adam's epsilon added before the debiasing", (("direction", _DEBIASED, "m / (1 - beta1 ** step) * sqrt(1 - beta2 ** step) / (sqrt(second) + eps)"),)),
    ("Adam without debiasing", (("direction", _DEBIASED, "m / (sqrt(second) + eps)"),)),
    ("Adam without momentum's debiasing", (("direction", "m / (1 - beta1 ** step)", "m"),)),
    ("AdamW's decay through the gradient, as L2", (("adamw", "moments(m, second, gradient, beta1, beta2)", "moments(m, second, gradient + decay * params, beta1, beta2)"), ("adamw", f"{_STEP} + decay * params", _STEP))),
    ("AdamW's decay not multiplied by the rate", (("adamw", f"rate * ({_STEP} + decay * params)", f"rate * {_STEP} - decay * params"),)),
    ("AdamW's decay taken after the step", (("adamw", f"params - rate * ({_STEP} + decay * params)", f"(params - rate * {_STEP}) * (1 - rate * decay)"),)),
    ("EMA that starts from the first parameters", (("ema", "0 * params[0]", "params[0]"),)),
    ("EMA with decay and 1 - decay exchanged", (("ema", "decay * average + (1 - decay) * each", "(1 - decay) * average + decay * each"),)),
    ("EMA whose decay warms up as (1 + k) / (10 + k)", (("ema", "decay * average + (1 - decay) * each", "each + min(decay, (2 + len(averages)) / (11 + len(averages))) * (average - each)"),)),
    ("EMA not debiased", (("ema_debiased", "average / (1 - decay ** step)", "average"),)),
    ("every tensor clipped by its own norm", (("clip_by_norm", "(grads_a * factor, grads_b * factor, norm)", "(grads_a * min(1, limit / sqrt((grads_a ** 2).sum())), grads_b * min(1, limit / sqrt((grads_b ** 2).sum())), norm)"),)),
    ("clipped number by number", (("clip_by_norm", "(grads_a * factor, grads_b * factor, norm)", "(np.clip(grads_a, -limit, limit), np.clip(grads_b, -limit, limit), norm)"),)),
    ("clipping with norm + 1e-6, as PyTorch's", (("clip_by_norm", "limit / norm if norm > limit else norm ** 0", "min(limit / (norm + 1e-6), 1)"),)),
    ("small gradients scaled up to the limit", (("clip_by_norm", "limit / norm if norm > limit else norm ** 0", "limit / norm"),)),
    ("the cosine counted from step 0, not from the warm-up's end", (("learning_rate", "pi(peak) * (min(step, total) - warmup) / (total - warmup)", "pi(peak) * min(step, total) / total"),)),
    ("a warm-up that starts at 0", (("learning_rate", "peak * step", "peak * (step - 1)"),)),
    ("a whole turn of the cosine", (("learning_rate", "pi(peak)", "2 * pi(peak)"),)),
    ("the rate rising again after the last step", (("learning_rate", "min(step, total)", "step"),)),
    ("the gradient of half the squared loss", (("mlp_loss", "2 * error", "error"),)),
    ("the loss a mean over the batch", (("mlp_loss", "(error ** 2).sum()", "(error ** 2).sum() / len(error)"), ("mlp_loss", "2 * error", "2 * error / len(error)"))),
    ("the loss a mean over batch and coordinates", (("mlp_loss", "(error ** 2).sum()", "(error ** 2).mean()"), ("mlp_loss", "2 * error", "2 * error / error.size"))),
    ("the loss of the batch summed, not its mean, in training", (("loss_gradient", "2 * error / len(h)", "2 * error"),)),
    ("the loss a mean over coordinates, too, in training", (("loss_gradient", "2 * error / len(h)", "2 * error / error.size"),)),
    ("the network given t, not 1000 t / T", (("train_mlp", "like(1000, x0) * t / len(betas)", "t"),)),
    ("the network given t / T, not 1000 t / T", (("train_mlp", "like(1000, x0) * t", "1 * t"),)),
    ("the network given t - 1", (("train_mlp", "like(1000, x0) * t", "like(1000, x0) * (t - 1)"),)),
    ("the network given t in 0..1, not 0..1000, in flow matching", (("train_mlp_flow", "1000 * t", "t"),)),
    ("flow from data at t = 0 to noise at t = 1", (("train_mlp_flow", "tau * data + (1 - tau) * noise", "(1 - tau) * data + tau * noise"), ("train_mlp_flow", "data - noise", "noise - data"))),
    ("the flow's velocity turned round", (("train_mlp_flow", "data - noise", "noise - data"),)),
)  # fmt: skip

KNOWN = LAYERS + NETWORKS + TRAINING
