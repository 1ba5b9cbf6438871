"""Wrong and right implementations of the operations of the area layers, each as a user would write it."""

import math

import numpy as np
from scipy import special


def half_of(features):
    if features < 4 or features % 2:
        raise ValueError(f"features must be even and at least 4, got {features}")
    return features // 2


def check_labels(labels, n):
    labels = np.asarray(labels)
    if labels.min() < 0 or labels.max() >= n:
        raise IndexError("label out of range")
    return labels


def one_hot(labels, n):
    return np.eye(n)[check_labels(labels, n)]


def log_softmax(z):
    return z - special.logsumexp(z, axis=-1, keepdims=True)


def as_channels(vector, x):
    """(B, C) with singleton axes for the places of x."""
    b, c = vector.shape
    return vector.reshape((b,) + (1,) * (x.ndim - 2) + (c,))


def place_axes(x):
    return tuple(range(1, x.ndim - 1))


class TimeFeaturesDividedByHalf:
    """The exponent of the frequencies runs to (half - 1) / half (hojonathanho/diffusion#15 discusses both)."""

    truth = "log(10000) is divided by half, not by half - 1, so that the lowest frequency is not 1 / 10000"
    kind = "index"

    def time_features(self, t, features):
        half = half_of(features)
        freqs = np.exp(-math.log(10000) * np.arange(half) / half)
        args = t[:, None] * freqs[None]
        return np.concatenate([np.sin(args), np.cos(args)], axis=-1)


class TimeFeaturesInterleaved:
    """Sine and cosine of a frequency side by side, as in the transformer article (huggingface/diffusers#3981)."""

    truth = "sines and cosines alternate, where all sines come first"
    kind = "alternative"

    def time_features(self, t, features):
        half = half_of(features)
        table = np.zeros((len(t), features))
        angles = np.outer(t, 10000.0 ** (-np.arange(half) / (half - 1)))
        table[:, 0::2] = np.sin(angles)
        table[:, 1::2] = np.cos(angles)
        return table


class TimeFeaturesCosineFirst:
    """The order of facebookresearch/DiT (facebookresearch/DiT#78)."""

    truth = "the cosines come before the sines"
    kind = "swap"

    def time_features(self, t, features):
        half = half_of(features)
        args = np.einsum("b,f->bf", t, np.geomspace(1, 1e-4, half))
        return np.hstack([np.cos(args), np.sin(args)])


class TimeFeaturesCosineFirstByHalf:
    """The embedding of openai/guided-diffusion, where another code's weights are loaded."""

    truth = "two differences: the cosines come first, and the exponent is i / half instead of i / (half - 1)"
    kind = "two"

    def time_features(self, t, features):
        half = half_of(features)
        freqs = np.exp(np.arange(half) * (-np.log(10000.0) / half))
        args = t.reshape(-1, 1) * freqs
        return np.concatenate((np.cos(args), np.sin(args)), axis=1)


class TimeFeaturesAlongBatch:
    """Sine and cosine are chosen by the row (gmongaras/Diffusion_models_from_scratch#10)."""

    truth = "even examples of the batch get sines and odd ones cosines: the slice is taken along the batch axis"
    kind = "axis"

    def time_features(self, t, features):
        half = half_of(features)
        freqs = np.exp(-np.log(10000.0) * np.arange(half) / (half - 1))
        emb = t[:, None] * np.concatenate([freqs, freqs])
        emb[::2] = np.sin(emb[::2])
        emb[1::2] = np.cos(emb[1::2])
        return emb


class TimeFeaturesFloat32:
    """The frequencies are a float32 table, made once."""

    truth = "the frequencies are rounded to float32 before they multiply t"
    kind = "dtype"

    def __init__(self):
        self.tables = {}

    def time_features(self, t, features):
        half = half_of(features)
        if half not in self.tables:
            self.tables[half] = np.exp(-np.log(10000) / (half - 1) * np.arange(half, dtype=np.float32), dtype=np.float32)
        angles = t[:, None] * self.tables[half][None, :].astype(t.dtype)
        return np.concatenate([np.sin(angles), np.cos(angles)], -1)


class TimeFeaturesOfFraction:
    """t is taken to the unit interval first, for a network that was meant to be given t / T."""

    truth = "the time is divided by 1000 before it is multiplied by the frequencies"
    kind = "units"

    max_time = 1000.0

    def time_features(self, t, features):
        half = half_of(features)
        w = np.logspace(0, -4, half)
        phase = (t / self.max_time)[:, np.newaxis] @ w[np.newaxis]
        return np.concatenate([np.sin(phase), np.cos(phase)], axis=1)


class TimeFeaturesRadians:
    """Frequencies in cycles: 2 pi t w, as random Fourier features have it."""

    truth = "the angles carry a factor 2 pi"
    kind = "factor"

    def time_features(self, t, features):
        half = half_of(features)
        w = 2 * np.pi / 10000 ** (np.arange(half) / (half - 1))
        return np.concatenate([f(np.multiply.outer(t, w)) for f in (np.sin, np.cos)], axis=1)


class TimeFeaturesFromOne:
    """Frequencies counted from 1."""

    truth = "i runs from 1 to half instead of from 0 to half - 1"
    kind = "index"

    def time_features(self, t, features):
        half = half_of(features)
        columns = [t / 10000 ** (i / (half - 1)) for i in range(1, half + 1)]
        return np.stack([np.sin(c) for c in columns] + [np.cos(c) for c in columns], axis=1)


class TimeFeaturesPadOdd:
    """An odd number of features is filled up with a zero column, and 2 features divide by zero."""

    truth = "5 features and 2 features are answered, where an error is asked for"
    kind = "check"

    def time_features(self, t, features):
        half = features // 2
        emb = np.exp(np.arange(half) * -(math.log(10000) / max(half - 1, 1)))
        emb = t[:, None] * emb[None, :]
        emb = np.concatenate([np.sin(emb), np.cos(emb)], axis=1)
        return np.pad(emb, ((0, 0), (0, features % 2)))


class EmbeddingGradBuffered:
    """dtable[labels] += dy adds only once for a label that occurs twice (numpy/numpy#7776, HIPS/autograd#39)."""

    truth = "an in-place addition by fancy index keeps only the last example of a repeated label"
    kind = "part"

    def embedding(self, labels, table):
        return table[check_labels(labels, len(table))]

    def embedding_vjp(self, labels, table, dy):
        dtable = np.zeros_like(table)
        dtable[labels] += dy
        return dtable


class EmbeddingWraps:
    """Negative labels index from the end, too large ones the last row."""

    truth = "labels outside the table are clipped into it without an error"
    kind = "check"

    def embedding(self, labels, table):
        return np.take(table, labels, axis=0, mode="clip")

    def embedding_vjp(self, labels, table, dy):
        dtable = np.zeros(table.shape)
        np.add.at(dtable, labels, dy)
        return dtable


class EmbeddingGradByFrequency:
    """The option scale_grad_by_freq of other libraries, left on."""

    truth = "the derivative of a row is the mean over the examples with its label, not the sum"
    kind = "units"

    def embedding_vjp(self, labels, table, dy):
        hot = one_hot(labels, len(table))
        return (hot.T @ dy) / np.maximum(hot.sum(axis=0), 1)[:, None]


class EmbeddingTimesRootWidth:
    """Rows times the root of their width, as transformers scale their input embeddings."""

    truth = "the embedding and its derivative carry a factor sqrt(width)"
    kind = "factor"

    def embedding(self, labels, table):
        return table[check_labels(labels, len(table)), :] * math.sqrt(table.shape[1])

    def embedding_vjp(self, labels, table, dy):
        out = np.zeros_like(table)
        np.add.at(out, labels, dy * math.sqrt(table.shape[1]))
        return out


class EmbeddingPaddingRow:
    """Row 0 is the null class and frozen."""

    truth = "the derivative of row 0 is set to zero, as with padding_idx = 0"
    kind = "part"

    def embedding_vjp(self, labels, table, dy):
        grad = np.stack([dy[labels == k].sum(axis=0) for k in range(table.shape[0])])
        grad[0] = 0.0
        return grad


class LinearTorchWeight:
    """The weights are (out, in) here."""

    truth = "x w^T + b, where the weights come as (in, out)"
    kind = "axis"

    def linear_layer(self, x, w, b):
        return np.einsum("...i,oi->...o", x, w) + b

    def linear_layer_vjp(self, x, w, b, dy):
        return dy @ w, dy.T @ x, dy.sum(0)


class LinearBiasMean:
    """The bias gets the batch mean (kvfrans/notes#5)."""

    truth = "db is the mean of dy over the rows instead of the sum"
    kind = "units"

    def linear_layer(self, x, w, b):
        return np.dot(x, w) + b

    def linear_layer_vjp(self, x, w, b, dy):
        return np.dot(dy, w.T), np.dot(x.T, dy), np.mean(dy, axis=0)


class LinearBiasOneSum:
    """One sum over rows and outputs, broadcast to all biases (rasbt/stat453-deep-learning-ss21#5)."""

    truth = "db is the sum of all of dy, the same number for every output"
    kind = "axis"

    def linear_layer_vjp(self, x, w, b, dy):
        db = np.empty_like(b)
        db[:] = np.sum(dy)
        return dy @ w.T, np.einsum("bi,bo->io", x, dy), db


class LinearBatchAveraged:
    """All parameter gradients divided by the batch, for a loss that is a mean."""

    truth = "dw and db are divided by the number of rows, while dx is not"
    kind = "units"

    def linear_layer_vjp(self, x, w, b, dy):
        n = dy.shape[0]
        grads = {"w": x.T @ dy / n, "b": dy.sum(axis=0) / n}
        return dy @ w.T, grads["w"], grads["b"]


class LinearTwoAxesOnly:
    """The derivatives of a layer that was only ever given (B, in)."""

    truth = "db and dw sum over the first axis only, which is wrong for x of more than two axes"
    kind = "axis"
    found = False

    def linear_layer_vjp(self, x, w, b, dy):
        return dy @ w.T, np.tensordot(x, dy, axes=([0], [0])), dy.sum(axis=0)


class LinearBiasTwice:
    """The bias column is appended to x and added once more."""

    truth = "the bias is added twice"
    kind = "factor"

    def linear_layer(self, x, w, b):
        ones = np.ones(x.shape[:-1] + (1,))
        return np.concatenate([x, ones], axis=-1) @ np.vstack([w, b]) + b


class SiluOverflows:
    """exp(x) / (1 + exp(x)) is inf / inf above 710."""

    truth = "the sigmoid is taken as exp(x) / (1 + exp(x)), which is not a number for large x"
    kind = "nan"

    @staticmethod
    def sigmoid(x):
        with np.errstate(over="ignore", invalid="ignore"):
            e = np.exp(x)
            return e / (1 + e)

    def silu(self, x):
        return x * self.sigmoid(x)

    def silu_vjp(self, x, dy):
        s = self.sigmoid(x)
        return dy * (s + x * s * (1 - s))


class SiluExpSign:
    """1 / (1 + exp(x))."""

    truth = "the sign of the exponent in the sigmoid is lost: x sigmoid(-x)"
    kind = "sign"

    def gate(self, x):
        return 1 / (1 + np.exp(np.clip(x, -709, 709)))

    def silu(self, x):
        return x * self.gate(x)

    def silu_vjp(self, x, dy):
        g = self.gate(x)
        return dy * (g + x * g * (1 - g))


class SiluGradWithoutX:
    """y + s (1 - y) with the wrong one of the two under the minus."""

    truth = "the derivative is y + s (1 - s) instead of y + s (1 - y)"
    kind = "swap"

    def silu(self, x):
        return x * special.expit(x)

    def silu_vjp(self, x, dy):
        s = special.expit(x)
        y = x * s
        return dy * (y + s * (1 - s))


class SiluGradProductOnly:
    """Product rule with one product."""

    truth = "the derivative is x s (1 - s): the term s of the product rule is missing"
    kind = "term"

    def silu_vjp(self, x, dy):
        s = special.expit(x)
        dsig = s * special.expit(-x)
        return dy * x * dsig


class SiluGradAtOutput:
    """The cache holds the output, not the input."""

    truth = "the derivative is evaluated at silu(x) instead of at x"
    kind = "backward"

    def silu(self, x):
        return x * special.expit(x)

    def silu_vjp(self, x, dy):
        cached = self.silu(x)
        s = special.expit(cached)
        return dy * s * (1 + cached * (1 - s))


class SiluQuickGelu:
    """x sigmoid(1.702 x), consistently in both directions."""

    truth = "the gate is sigmoid(1.702 x): the fast GELU under the name of SiLU"
    kind = "alternative"

    slope = 1.702

    def silu(self, x):
        return x / (1 + np.exp(-np.clip(self.slope * x, -700, None)))

    def silu_vjp(self, x, dy):
        g = special.expit(self.slope * x)
        return dy * (g + self.slope * x * g * (1 - g))


class SiluInPlace:
    """nn.SiLU(inplace=True), in NumPy."""

    truth = "the answer is right, but the input is overwritten with it"
    kind = "alias"
    found = False

    def silu(self, x):
        x *= special.expit(x)
        return x


class SiluClipped:
    """The exponent is clipped to keep exp from overflowing, far too early."""

    truth = "the argument of the sigmoid is clipped to -10..10"
    kind = "constant"

    def silu(self, x):
        z = np.clip(x, -10, 10)
        return x / (1 + np.exp(-z))

    def silu_vjp(self, x, dy):
        s = 1 / (1 + np.exp(-np.clip(x, -10, 10)))
        return dy * (s * (1 + x * (1 - s)))


class SoftmaxUnshifted:
    """exp without the maximum taken off."""

    truth = "no maximum is taken off, so that logits of 800 overflow to not a number"
    kind = "nan"

    def softmax(self, z):
        with np.errstate(over="ignore", invalid="ignore"):
            e = np.exp(z)
            return e / e.sum(-1)[..., None]

    def softmax_vjp(self, z, dy):
        y = self.softmax(z)
        return y * dy - y * np.einsum("...i,...i->...", y, dy)[..., None]


class SoftmaxOneMaximum:
    """The maximum of the whole array (keras-team/keras#10027): harmless, unless rows are far apart."""

    truth = "the largest number of the whole array is taken off, which leaves 0 / 0 where a row lies 1000 below another"
    kind = "branch"
    found = False

    def softmax(self, z):
        e = np.exp(z - np.max(z))
        return e / np.sum(e, axis=-1, keepdims=True)

    def softmax_vjp(self, z, dy):
        y = self.softmax(z)
        return y * (dy - np.sum(dy * y, axis=-1, keepdims=True))


class SoftmaxSecondAxis:
    """axis=1, right for (B, K) only."""

    truth = "the normalization runs along axis 1, which is the last one for matrices only"
    kind = "axis"

    def softmax(self, z):
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        return p

    def softmax_vjp(self, z, dy):
        p = self.softmax(z)
        return p * (dy - (p * dy).sum(axis=1, keepdims=True))


class SoftmaxAlongBatch:
    """Normalized over the batch (ethanfetaya/NRI#25)."""

    truth = "the normalization runs along axis 0, over the examples"
    kind = "axis"

    def softmax(self, z):
        return special.softmax(z, axis=0)


class SoftmaxDiagonalGrad:
    """Only the diagonal of the Jacobian (deeplearning4j/libnd4j#440)."""

    truth = "the derivative is dy y (1 - y): the off-diagonal of the Jacobian is missing"
    kind = "part"

    def softmax(self, z):
        return special.softmax(z, axis=-1)

    def softmax_vjp(self, z, dy):
        y = self.softmax(z)
        return dy * y * (1.0 - y)


class SoftmaxGradMean:
    """mean for sum in the inner product."""

    truth = "the inner product of y and dy is a mean over the classes instead of a sum"
    kind = "units"

    def softmax_vjp(self, z, dy):
        y = np.exp(log_softmax(z))
        inner = np.mean(y * dy, axis=-1, keepdims=True)
        return y * (dy - inner)


class SoftmaxGradInPlace:
    """y *= dy saves an array."""

    truth = "y is overwritten with y dy before it multiplies the bracket: dy y (dy - sum y dy)"
    kind = "alias"

    def softmax(self, z):
        return special.softmax(z, axis=-1)

    def softmax_vjp(self, z, dy):
        y = self.softmax(z)
        y *= dy
        return y * (dy - y.sum(axis=-1, keepdims=True))


class SoftmaxEpsilon:
    """A small number against a division by zero that cannot happen."""

    truth = "1e-6 is added to the sum of the exponentials"
    kind = "constant"

    def softmax(self, z):
        e = np.exp(z - z.max(axis=-1, keepdims=True))
        return e / (e.sum(axis=-1, keepdims=True) + 1e-6)


class SoftmaxFirstJacobian:
    """The Jacobian of one example serves for all."""

    truth = "the Jacobian of the first row is used for the other rows too"
    kind = "part"

    def softmax_vjp(self, z, dy):
        flat, dflat = z.reshape(-1, z.shape[-1]), dy.reshape(-1, z.shape[-1])
        s = special.softmax(flat, axis=-1)[0]
        jacobian = np.diag(s) - np.outer(s, s)
        return (dflat @ jacobian).reshape(z.shape)


class CrossEntropyBatchMean:
    """reduction="mean", spread over the batch."""

    truth = "the loss of every example is the mean over the batch, and its derivative is divided by the batch"
    kind = "units"

    def cross_entropy(self, logits, labels):
        nll = -(one_hot(labels, logits.shape[1]) * log_softmax(logits)).sum(axis=1)
        return np.full(len(logits), nll.mean())

    def cross_entropy_vjp(self, logits, labels, dy):
        p = special.softmax(logits, axis=1)
        return (p - one_hot(labels, logits.shape[1])) * dy[:, None] / len(logits)


class CrossEntropyLogOfClipped:
    """-log of the clipped probability."""

    truth = "the probability is clipped to 1e-12 before the logarithm, so that no loss is above 27.6"
    kind = "constant"

    def cross_entropy(self, logits, labels):
        check_labels(labels, logits.shape[1])
        p = special.softmax(logits, axis=-1)[np.arange(len(labels)), labels]
        return -np.log(np.clip(p, 1e-12, 1.0))


class CrossEntropyBits:
    """log2."""

    truth = "the loss is in bits"
    kind = "units"

    def cross_entropy(self, logits, labels):
        logp = np.take_along_axis(log_softmax(logits), check_labels(labels, logits.shape[1])[:, None], axis=1)
        return -logp[:, 0] / np.log(2)


class CrossEntropySoftmaxTwice:
    """The network already ends in a softmax."""

    truth = "the logits go through softmax twice"
    kind = "alternative"

    def cross_entropy(self, logits, labels):
        probabilities = special.softmax(logits, axis=1)
        return -np.sum(one_hot(labels, logits.shape[1]) * log_softmax(probabilities), axis=1)


class CrossEntropyOneBased:
    """Classes counted from 1."""

    truth = "the label is taken less one: labels are read as 1..K"
    kind = "index"

    def cross_entropy(self, logits, labels):
        check_labels(labels, logits.shape[1])
        lse = special.logsumexp(logits, axis=1)
        return np.array([lse[i] - logits[i, labels[i] - 1] for i in range(len(labels))])


class CrossEntropyWraps:
    """The label is an index without a check."""

    truth = "a label of -1 is answered with the last class, where an error is asked for"
    kind = "check"

    def cross_entropy(self, logits, labels):
        rows = np.arange(logits.shape[0])
        return special.logsumexp(logits, axis=1) - logits[rows, labels]


class CrossEntropyGradSign:
    """The gradient of the log-likelihood."""

    truth = "the derivative has the other sign: one-hot minus softmax"
    kind = "sign"

    def cross_entropy(self, logits, labels):
        return -(one_hot(labels, logits.shape[1]) * log_softmax(logits)).sum(axis=1)

    def cross_entropy_vjp(self, logits, labels, dy):
        return np.einsum("b,bk->bk", dy, one_hot(labels, logits.shape[1]) - np.exp(log_softmax(logits)))


class CrossEntropyGradColumns:
    """grad[:, labels] -= 1 for grad[arange, labels] -= 1."""

    truth = "1 is taken off the columns of all labels of the batch in every row"
    kind = "axis"

    def cross_entropy_vjp(self, logits, labels, dy):
        grad = special.softmax(logits, axis=1)
        grad[:, labels] -= 1
        return grad * dy[:, None]


class CrossEntropyGradUnscaledLabel:
    """dy reaches the softmax, but not the 1."""

    truth = "dy softmax(z) - 1 at the label: the 1 is not multiplied by dy"
    kind = "term"

    def cross_entropy_vjp(self, logits, labels, dy):
        grad = dy[:, None] * special.softmax(logits, axis=1)
        grad[range(len(labels)), labels] -= 1
        return grad


class Norms:
    """Group normalization as a user would write it, channels first inside; the classes below get one thing wrong each."""

    eps = 1e-5

    def split(self, x, groups):
        b, c = x.shape[0], x.shape[-1]
        parts = np.moveaxis(x.reshape(b, -1, c), 1, 2).reshape(b, groups, c // groups, -1)
        return parts.reshape(b, groups, -1)

    def join(self, parts, shape):
        b, c = shape[0], shape[-1]
        return np.moveaxis(parts.reshape(b, c, -1), 1, 2).reshape(shape)

    def moments(self, parts):
        return parts.mean(axis=-1, keepdims=True), parts.var(axis=-1, keepdims=True)

    def rstd(self, var):
        return 1.0 / np.sqrt(var + self.eps)

    def normalize(self, x, groups):
        parts = self.split(x, groups)
        mean, var = self.moments(parts)
        return self.join((parts - mean) * self.rstd(var), x.shape)


class NormBackward(Norms):
    """The right backward pass of Norms."""

    def normalize_vjp(self, x, groups, dy):
        parts, d = self.split(x, groups), self.split(dy, groups)
        mean, var = self.moments(parts)
        rstd = self.rstd(var)
        xhat = (parts - mean) * rstd
        return self.join(self.backward(xhat, d, rstd), x.shape)

    def backward(self, xhat, d, rstd):
        n = d.shape[-1]
        return rstd / n * (n * d - d.sum(-1, keepdims=True) - xhat * (d * xhat).sum(-1, keepdims=True))

    def group_norm(self, x, scale, shift, groups):
        return self.normalize(x, groups) * scale + shift

    def group_norm_vjp(self, x, scale, shift, groups, dy):
        over = tuple(range(dy.ndim - 1))
        return self.normalize_vjp(x, groups, dy * scale), (dy * self.normalize(x, groups)).sum(over), dy.sum(over)


class NormalizeUnbiased(NormBackward):
    """The sample variance."""

    truth = "the variance is divided by n - 1"
    kind = "constant"

    def moments(self, parts):
        return parts.mean(axis=-1, keepdims=True), parts.var(axis=-1, keepdims=True, ddof=1)


class NormalizeEpsOutside(Norms):
    """std + eps."""

    truth = "1e-5 is added to the standard deviation instead of to the variance"
    kind = "power"

    def rstd(self, var):
        return 1.0 / (np.sqrt(var) + self.eps)


class NormalizeSmallEps(NormBackward):
    """The eps of flax and of the attention layers of Stable Diffusion."""

    truth = "eps is 1e-6"
    kind = "constant"
    eps = 1e-6


class NormalizeKerasEps(NormBackward):
    """The eps of Keras and an unbiased variance."""

    truth = "two mistakes: eps is 1e-3, and the variance is divided by n - 1"
    kind = "two"
    eps = 1e-3

    def moments(self, parts):
        n = parts.shape[-1]
        mean = parts.sum(axis=-1, keepdims=True) / n
        return mean, ((parts - mean) ** 2).sum(axis=-1, keepdims=True) / max(n - 1, 1)


class NormalizeWrongRoot(Norms):
    """std = (variance + eps) ** 2 (131250208/TPlinker-joint-extraction#37)."""

    truth = "the squared variance stands where its root belongs"
    kind = "power"

    def rstd(self, var):
        return (var + self.eps) ** -2


class NormalizeByVariance(Norms):
    """Divided by the variance (rinuboney/ladder#17)."""

    truth = "the square root of the variance is missing"
    kind = "power"

    def rstd(self, var):
        return 1 / (var + self.eps)


class NormalizeRootMeanSquare(Norms):
    """RMSNorm keeps the mean."""

    truth = "neither x nor the variance is centred: root mean square normalization"
    kind = "alternative"

    def moments(self, parts):
        return 0.0, np.mean(parts**2, axis=-1, keepdims=True)


class NormalizeTensorflowReshape(NormBackward):
    """(B, H, W, C) reshaped to (B, G, H, W, C / G) without a transposition (tensorflow/addons#751)."""

    truth = "channels-last data is cut into groups by a reshape alone, so that a group is a strip of places, not of channels"
    kind = "axis"

    def split(self, x, groups):
        if x.shape[-1] % groups:
            raise ValueError("groups must divide the channels")
        return x.reshape(x.shape[0], groups, -1)

    def join(self, parts, shape):
        return parts.reshape(shape)


class NormalizeStridedGroups(Norms):
    """Channels dealt out to the groups in turn."""

    truth = "a group holds every groups-th channel instead of neighbouring ones"
    kind = "axis"

    def order(self, c, groups):
        return np.arange(c).reshape(c // groups, groups).T.ravel()

    def normalize(self, x, groups):
        p = self.order(x.shape[-1], groups)
        return super().normalize(x[..., p], groups)[..., np.argsort(p)]


class NormalizeOverBatch(Norms):
    """Statistics of the batch."""

    truth = "mean and variance are shared by the examples of the batch"
    kind = "axis"

    def moments(self, parts):
        return parts.mean(axis=(0, 2), keepdims=True), parts.var(axis=(0, 2), keepdims=True)


class NormalizePerPlace:
    """Layer normalization of a pixel's channels, in groups."""

    truth = "every place is normalized on its own, where all places of an example share a mean"
    kind = "axis"

    def normalize(self, x, groups):
        g = x.reshape(*x.shape[:-1], groups, x.shape[-1] // groups)
        g = g - g.mean(axis=-1, keepdims=True)
        return (g / np.sqrt(np.square(g).mean(axis=-1, keepdims=True) + 1e-5)).reshape(x.shape)


class NormalizeGroupSize(Norms):
    """The argument is taken as the number of channels in a group."""

    truth = "groups is read as the channels of a group: C / groups groups are formed"
    kind = "swap"

    def normalize(self, x, groups):
        c = x.shape[-1]
        if c % groups:
            raise ValueError("channels must be a multiple of groups")
        return super().normalize(x, c // groups)


class NormalizeSkipsFlat(Norms):
    """A guard against a division by nearly zero."""

    truth = "groups with a variance below 1e-8 are returned as they are"
    kind = "branch"

    def normalize(self, x, groups):
        parts = self.split(x, groups)
        mean, var = self.moments(parts)
        return self.join(np.where(var < 1e-8, parts, (parts - mean) * self.rstd(var)), x.shape)


class NormalizeWithoutEps(Norms):
    """x.std() alone."""

    truth = "nothing is added to the variance, so that a constant group is 0 / 0"
    kind = "nan"

    def rstd(self, var):
        with np.errstate(divide="ignore"):
            return var**-0.5


class NormalizeLastGroupLeft:
    """A loop over the borders between groups."""

    truth = "the loop over the groups ends one early: the last group is not normalized"
    kind = "index"

    def normalize(self, x, groups):
        if groups < 1 or x.shape[-1] % groups:
            raise ValueError("groups must divide the channels")
        y, size, axes = x.copy(), x.shape[-1] // groups, tuple(range(1, x.ndim))
        for g in range(groups - 1):
            channels = slice(g * size, (g + 1) * size)
            part = x[..., channels]
            y[..., channels] = (part - part.mean(axes, keepdims=True)) / np.sqrt(part.var(axes, keepdims=True) + 1e-5)
        return y


class NormalizeUnevenGroups:
    """array_split takes any number of groups."""

    truth = "channels that the groups do not divide are split unevenly without an error"
    kind = "check"

    def normalize(self, x, groups):
        axes, done = tuple(range(1, x.ndim)), []
        for part in np.array_split(x, groups, axis=-1):
            if part.size:
                centred = part - part.mean(axis=axes, keepdims=True)
                done.append(centred / np.sqrt((centred**2).mean(axis=axes, keepdims=True) + 1e-5))
        return np.concatenate(done, axis=-1)


class NormalizeOnePass(Norms):
    """E[x^2] - E[x]^2 in single precision."""

    truth = "the variance is a difference of two float32 means"
    kind = "dtype"

    def moments(self, parts):
        p = parts.astype(np.float32)
        m1, m2 = p.mean(axis=-1, keepdims=True), (p * p).mean(axis=-1, keepdims=True)
        return m1.astype(float), np.maximum(m2 - m1 * m1, 0).astype(float)


class NormalizeGradConstantVariance(NormBackward):
    """The variance is detached."""

    truth = "the derivative treats the standard deviation as a constant: the term y <y dy> is missing"
    kind = "term"

    def backward(self, xhat, d, rstd):
        return rstd * (d - d.mean(axis=-1, keepdims=True))


class NormalizeGradNoMean(NormBackward):
    """The mean is detached."""

    truth = "the derivative leaves out the mean of dy"
    kind = "term"

    def backward(self, xhat, d, rstd):
        return rstd * (d - xhat * np.mean(d * xhat, axis=-1, keepdims=True))


class NormalizeGradSums(NormBackward):
    """n is forgotten in one of three terms."""

    truth = "in the derivative, y <y dy> has the sum over the group instead of the mean"
    kind = "units"

    def backward(self, xhat, d, rstd):
        inner = np.einsum("bgn,bgn->bg", xhat, d)[..., None]
        return (d - d.mean(-1, keepdims=True) - xhat * inner) * rstd


class NormalizeGradHalf(NormBackward):
    """The chain rule through the square root once more."""

    truth = "in the derivative, y <y dy> is halved: the 2 of the square does not cancel the half of the root"
    kind = "factor"

    def backward(self, xhat, d, rstd):
        return rstd * (d - np.mean(d, -1, keepdims=True) - 0.5 * xhat * np.mean(xhat * d, -1, keepdims=True))


class GroupNormPerGroupScale(NormBackward):
    """One scale and shift for each group (apache/mxnet#17139, Oneflow-Inc/oneflow#4848)."""

    truth = "all channels of a group take the scale and shift of its first channel"
    kind = "part"

    def group_norm(self, x, scale, shift, groups):
        size = x.shape[-1] // groups
        return self.normalize(x, groups) * scale[::size].repeat(size) + shift[::size].repeat(size)


class GroupNormGradScaleLate(NormBackward):
    """scale outside the backward pass of the normalization."""

    truth = "dx is scale times the derivative of normalize at dy, instead of that at scale dy"
    kind = "swap"

    def group_norm_vjp(self, x, scale, shift, groups, dy):
        _, dscale, dshift = super().group_norm_vjp(x, scale, shift, groups, dy)
        return scale * self.normalize_vjp(x, groups, dy), dscale, dshift


class GroupNormGradOfInput(NormBackward):
    """dgamma from the layer's input."""

    truth = "dscale is the sum of x dy instead of normalize(x) dy"
    kind = "backward"

    def group_norm_vjp(self, x, scale, shift, groups, dy):
        dx, _, dshift = super().group_norm_vjp(x, scale, shift, groups, dy)
        return dx, (x * dy).reshape(-1, scale.size).sum(axis=0), dshift


class GroupNormGradBatchMean(NormBackward):
    """The gradients of the parameters are averaged over the batch."""

    truth = "dscale and dshift are means over the examples (of sums over places)"
    kind = "units"

    def group_norm_vjp(self, x, scale, shift, groups, dy):
        dx, dscale, dshift = super().group_norm_vjp(x, scale, shift, groups, dy)
        return dx, dscale / x.shape[0], dshift / x.shape[0]


class FilmWithoutOne:
    """gamma x + beta, as the article has it (Svito-zar/gesticulator#5)."""

    truth = "scale x + shift: the 1 is missing, in the derivative too"
    kind = "alternative"

    def film(self, x, scale, shift):
        return as_channels(scale, x) * x + as_channels(shift, x)

    def film_vjp(self, x, scale, shift, dy):
        places = place_axes(x)
        return as_channels(scale, x) * dy, (x * dy).sum(places), dy.sum(places)


class FilmFirstExample:
    """Conditioning of example 0."""

    truth = "scale and shift of the first example are used for the whole batch"
    kind = "part"

    def film(self, x, scale, shift):
        return x * (scale[0] + 1) + shift[0]


class FilmShiftScaled:
    """(x + shift) (1 + scale)."""

    truth = "the shift is added before the scale multiplies"
    kind = "swap"

    def film(self, x, scale, shift):
        return (1 + as_channels(scale, x)) * (x + as_channels(shift, x))


class FilmGradDropsOne:
    """The derivative of scale x."""

    truth = "dx is scale dy instead of (1 + scale) dy"
    kind = "term"

    def film(self, x, scale, shift):
        return x + x * as_channels(scale, x) + as_channels(shift, x)

    def film_vjp(self, x, scale, shift, dy):
        b, c = scale.shape
        flat, d = x.reshape(b, -1, c), dy.reshape(b, -1, c)
        return (d * scale[:, None]).reshape(x.shape), np.einsum("bpc,bpc->bc", flat, d), d.sum(axis=1)


class FilmGradPlaceMean:
    """Means over the places."""

    truth = "dscale and dshift are means over the places instead of sums"
    kind = "units"

    def film_vjp(self, x, scale, shift, dy):
        axes = place_axes(x)
        return dy * (1 + as_channels(scale, x)), np.mean(x * dy, axis=axes), np.mean(dy, axis=axes)


class FilmGradInPlace:
    """dy is scaled where it lies."""

    truth = "dy is multiplied by 1 + scale in place before the sums for dscale and dshift are taken"
    kind = "alias"

    def film_vjp(self, x, scale, shift, dy):
        grad = dy.copy()
        grad *= as_channels(1 + scale, x)
        return grad, (x * grad).sum(axis=place_axes(x)), grad.sum(axis=place_axes(x))


class FilmGradOfOutput:
    """The layer keeps its output for the backward pass."""

    truth = "dscale is the sum of film(x) dy instead of x dy"
    kind = "backward"

    def film_vjp(self, x, scale, shift, dy):
        one_plus = as_channels(1 + scale, x)
        out = x * one_plus + as_channels(shift, x)
        return dy * one_plus, (out * dy).sum(axis=place_axes(x)), dy.sum(axis=place_axes(x))


class Adaptive(NormBackward):
    """Adaptive group normalization and its derivative, right; the classes below change a part."""

    def modulation(self, emb, w, b):
        c = b.size // 2
        h = emb @ w + b
        return h[:, :c], h[:, c:]

    def adaptive_group_norm(self, x, emb, w, b, groups):
        scale, shift = self.modulation(emb, w, b)
        return self.normalize(x, groups) * as_channels(1 + scale, x) + as_channels(shift, x)

    def adaptive_group_norm_vjp(self, x, emb, w, b, groups, dy):
        scale, _ = self.modulation(emb, w, b)
        normal = self.normalize(x, groups)
        dh = np.hstack([(dy * normal).sum(axis=place_axes(x)), dy.sum(axis=place_axes(x))])
        return self.normalize_vjp(x, groups, dy * as_channels(1 + scale, x)), dh @ w.T, emb.T @ dh, dh.sum(axis=0)


class AdaptiveShiftFirst(Adaptive):
    """chunk(2) unpacked as shift, scale."""

    truth = "the first half is taken as the shift and the second as the scale"
    kind = "swap"

    def modulation(self, emb, w, b):
        first, second = super().modulation(emb, w, b)
        return second, first


class AdaptivePairs(Adaptive):
    """Scale and shift of a channel lie side by side."""

    truth = "scale and shift alternate in the linear layer's output, instead of two halves"
    kind = "axis"

    def modulation(self, emb, w, b):
        pairs = (emb @ w + b).reshape(len(emb), -1, 2)
        return pairs[..., 0], pairs[..., 1]


class AdaptiveActivated(Adaptive):
    """SiLU before the linear layer, as the residual blocks of guided-diffusion have it."""

    truth = "silu is applied to emb before its linear layer"
    kind = "alternative"

    def modulation(self, emb, w, b):
        return super().modulation(emb * special.expit(emb), w, b)


class AdaptiveNormLast(Adaptive):
    """The order of modulation and normalization."""

    truth = "film comes before the normalization instead of after it"
    kind = "swap"

    def adaptive_group_norm(self, x, emb, w, b, groups):
        scale, shift = self.modulation(emb, w, b)
        return self.normalize(x * as_channels(1 + scale, x) + as_channels(shift, x), groups)


class AdaptiveGradRawInput(Adaptive):
    """The backward pass multiplies by what it has at hand, x."""

    truth = "the derivative in the scale uses x instead of normalize(x)"
    kind = "backward"

    def adaptive_group_norm_vjp(self, x, emb, w, b, groups, dy):
        dx, _, _, _ = super().adaptive_group_norm_vjp(x, emb, w, b, groups, dy)
        dh = np.concatenate([(dy * x).sum(axis=place_axes(x)), dy.sum(axis=place_axes(x))], axis=1)
        return dx, dh @ w.T, emb.T @ dh, dh.sum(axis=0)


class AdaptiveGradScaleOnly(Adaptive):
    """The shift's way back to emb is forgotten."""

    truth = "demb comes through the scale only, not through the shift"
    kind = "part"

    def adaptive_group_norm_vjp(self, x, emb, w, b, groups, dy):
        dx, _, dw, db = super().adaptive_group_norm_vjp(x, emb, w, b, groups, dy)
        c = x.shape[-1]
        dscale = (dy * self.normalize(x, groups)).sum(axis=place_axes(x))
        return dx, dscale @ w[:, :c].T, dw, db


class AdaptiveWithoutOneShiftFirst(Adaptive):
    """Another code's convention of the layer, twice."""

    truth = "two mistakes: the 1 of 1 + scale is missing, and shift and scale are swapped"
    kind = "two"

    def adaptive_group_norm(self, x, emb, w, b, groups):
        shift, scale = np.array_split(emb @ w + b, 2, axis=1)
        return self.normalize(x, groups) * as_channels(scale, x) + as_channels(shift, x)


class RightComplexFeatures:
    """Sines and cosines as the parts of one complex exponential, frequencies by geomspace."""

    truth = ""
    kind = "right"

    def time_features(self, t, features):
        wave = np.exp(1j * np.outer(t, np.geomspace(1, 1e-4, half_of(features))))
        return np.hstack([wave.imag, wave.real])


class RightOneHot:
    """Labels as one-hot matrices, log-sum-exp by folding logaddexp."""

    truth = ""
    kind = "right"

    def embedding(self, labels, table):
        return one_hot(labels, len(table)) @ table

    def embedding_vjp(self, labels, table, dy):
        return one_hot(labels, len(table)).T @ dy

    def cross_entropy(self, logits, labels):
        return np.logaddexp.reduce(logits, axis=1) - (one_hot(labels, logits.shape[1]) * logits).sum(axis=1)

    def cross_entropy_vjp(self, logits, labels, dy):
        p = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
        return np.diag(dy) @ (p - one_hot(labels, logits.shape[1]))


class RightLinearEinsum:
    """einsum and an extra row of ones for the bias."""

    truth = ""
    kind = "right"

    def linear_layer(self, x, w, b):
        homogeneous = np.concatenate([x, np.ones_like(x[..., :1])], axis=-1)
        return np.einsum("...i,io->...o", homogeneous, np.concatenate([w, b[None]]))

    def linear_layer_vjp(self, x, w, b, dy):
        rows = np.concatenate([x, np.ones_like(x[..., :1])], axis=-1).reshape(-1, w.shape[0] + 1)
        both = np.einsum("ni,no->io", rows, dy.reshape(-1, w.shape[1]))
        return np.einsum("...o,io->...i", dy, w), both[:-1], both[-1]


class RightSiluLogSpace:
    """The gate as exp(-softplus(-x)); the derivative as y + g (1 - y)."""

    truth = ""
    kind = "right"

    def silu(self, x):
        return x * np.exp(-np.logaddexp(0, -x))

    def silu_vjp(self, x, dy):
        g = np.exp(-np.logaddexp(0, -x))
        y = x * g
        return dy * (y + g * (1 - y))


class RightSoftmaxJacobians:
    """Softmax in log space, its derivative by whole Jacobians."""

    truth = ""
    kind = "right"

    def softmax(self, z):
        return np.exp(log_softmax(z))

    def softmax_vjp(self, z, dy):
        y = self.softmax(z)
        jacobians = y[..., :, None] * np.eye(z.shape[-1]) - y[..., :, None] * y[..., None, :]
        return np.einsum("...ij,...i->...j", jacobians, dy)


class RightNormalizeLoops:
    """A loop over examples and groups; the derivative by a projection matrix."""

    truth = ""
    kind = "right"

    def each(self, x, groups):
        if groups < 1 or x.shape[-1] % groups:
            raise ValueError("groups must divide the channels")
        size = x.shape[-1] // groups
        return [(i, slice(g * size, (g + 1) * size)) for i in range(len(x)) for g in range(groups)]

    def normalize(self, x, groups):
        out = np.empty_like(x)
        for i, c in self.each(x, groups):
            part = x[i, ..., c]
            out[i, ..., c] = (part - part.mean()) / math.sqrt(part.var() + 1e-5)
        return out

    def normalize_vjp(self, x, groups, dy):
        out, y = np.empty_like(x), self.normalize(x, groups)
        for i, c in self.each(x, groups):
            h = y[i, ..., c].ravel()
            projector = np.eye(h.size) - (1 + np.outer(h, h)) / h.size
            out[i, ..., c] = (projector @ dy[i, ..., c].ravel()).reshape(out[i, ..., c].shape) / math.sqrt(x[i, ..., c].var() + 1e-5)
        return out


class RightConditioning(Adaptive):
    """The shared group norm above, and film as an einsum over channels first."""

    truth = ""
    kind = "right"

    def film(self, x, scale, shift):
        return np.einsum("b...c,bc->b...c", x, scale) + np.moveaxis(np.moveaxis(x, 0, -2) + shift, -2, 0)

    def film_vjp(self, x, scale, shift, dy):
        flat, d = x.reshape(len(x), -1, x.shape[-1]), dy.reshape(len(x), -1, x.shape[-1])
        return dy + np.einsum("b...c,bc->b...c", dy, scale), np.einsum("bpc,bpc->bc", flat, d), np.einsum("bpc->bc", d)
