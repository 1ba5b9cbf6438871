"""Wrong and right implementations of the operations of the areas images, attention and unet, each as a user would write it."""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage, signal, special


def check_kernel(w, stride):
    if w.shape[0] != w.shape[1] or w.shape[0] % 2 == 0:
        raise ValueError("kernels must be square and of odd size")
    if stride not in (1, 2):
        raise ValueError("stride must be 1 or 2")


class Convolution:
    """A convolution by im2col, right; classes below change one of its parts."""

    pad_mode = "constant"

    def margins(self, n, size, stride):
        return size // 2, size // 2

    def pads(self, x, size, stride):
        return ((0, 0), self.margins(x.shape[1], size, stride), self.margins(x.shape[2], size, stride), (0, 0))

    def columns(self, x, size, stride):
        padded = np.pad(x, self.pads(x, size, stride), mode=self.pad_mode)
        return sliding_window_view(padded, (size, size), axis=(1, 2))[:, ::stride, ::stride]

    def fold(self, columns, x, size, stride):
        pads = self.pads(x, size, stride)
        image = np.zeros([n + sum(p) for n, p in zip(x.shape, pads, strict=True)])
        rows, cols = columns.shape[1:3]
        for m, n in np.ndindex(size, size):
            self.put(
                image, np.s_[:, m : m + stride * (rows - 1) + 1 : stride, n : n + stride * (cols - 1) + 1 : stride], columns[..., m, n]
            )
        (top, _), (left, _) = pads[1:3]
        return image[:, top : top + x.shape[1], left : left + x.shape[2]]

    def put(self, image, where, values):
        image[where] += values

    def conv(self, x, w, b, stride):
        check_kernel(w, stride)
        return np.einsum("bijcmn,mnco->bijo", self.columns(x, len(w), stride), w) + b

    def conv_vjp(self, x, w, b, stride, dy):
        check_kernel(w, stride)
        dw = np.einsum("bijcmn,bijo->mnco", self.columns(x, len(w), stride), dy)
        dx = self.fold(np.einsum("bijo,mnco->bijcmn", dy, w), x, len(w), stride)
        return dx, dw, dy.sum(axis=(0, 1, 2))


class ConvFlipped:
    """scipy's convolve2d turns the kernel around."""

    truth = "a mathematical convolution: the kernel is flipped in both directions"
    kind = "alternative"

    def conv(self, x, w, b, stride):
        check_kernel(w, stride)
        y = np.zeros(x.shape[:3] + (w.shape[3],))
        for i, o in np.ndindex(w.shape[2:]):
            for image, out in zip(x[..., i], y, strict=True):
                out[..., o] += signal.convolve2d(image, w[:, :, i, o], mode="same")
        if x.shape[3] != w.shape[2]:
            raise ValueError("channels do not match the kernel")
        return y[:, ::stride, ::stride] + b


class ConvKernelTransposed(Convolution):
    """Kernels read as (width, height, in, out)."""

    truth = "the two axes of the kernel are exchanged, in all derivatives too"
    kind = "axis"

    def conv(self, x, w, b, stride):
        return super().conv(x, w.swapaxes(0, 1), b, stride)

    def conv_vjp(self, x, w, b, stride, dy):
        dx, dw, db = super().conv_vjp(x, w.swapaxes(0, 1), b, stride, dy)
        return dx, dw.swapaxes(0, 1), db


class ConvSamePadding(Convolution):
    """SAME padding of TensorFlow: at stride 2 more of it lies below and to the right (MegEngine/MegDiffusion#7, ermongroup/ddim#35)."""

    truth = "at stride 2 the padding is as small as possible and lies at the bottom and right"
    kind = "alternative"

    def margins(self, n, size, stride):
        total = max((math.ceil(n / stride) - 1) * stride + size - n, 0)
        return total // 2, total - total // 2


class ConvEdgePadding(Convolution):
    """np.pad(mode="edge")."""

    truth = "the border is padded with the pixels of the edge instead of zeros"
    kind = "constant"
    pad_mode = "edge"

    def conv_vjp(self, x, w, b, stride, dy):
        dx, _, db = super().conv_vjp(x, w, b, stride, dy)
        return dx, np.einsum("bijcmn,bijo->mnco", self.columns(x, len(w), stride), dy), db


class ConvBiasEveryTap:
    """The bias is inside the loop over the kernel."""

    truth = "the bias is added once for every place of the kernel, size^2 times"
    kind = "factor"

    def conv(self, x, w, b, stride):
        check_kernel(w, stride)
        size, (_, h, width, _) = len(w), x.shape
        padded = np.pad(x, ((0, 0), (size // 2,) * 2, (size // 2,) * 2, (0, 0)))
        taps = [padded[:, i : i + h : stride, j : j + width : stride] @ w[i, j] + b for i in range(size) for j in range(size)]
        return sum(taps)


class ConvStridePhase(Convolution):
    """Every second pixel, from the second on."""

    truth = "at stride 2 the kept pixels are those of odd index"
    kind = "index"

    def conv(self, x, w, b, stride):
        check_kernel(w, stride)
        return super().conv(x, w, b, 1)[:, stride - 1 :: stride, stride - 1 :: stride]


class ConvFloat32(Convolution):
    """A GPU habit."""

    truth = "the convolution is computed in float32"
    kind = "dtype"
    found = False

    def conv(self, x, w, b, stride):
        return super().conv(x.astype(np.float32), w.astype(np.float32), b.astype(np.float32), stride).astype(x.dtype)


class ConvLastChannel:
    """Results of the channels overwrite each other."""

    truth = "the sum over the channels is an assignment: only the last channel of x is seen"
    kind = "part"

    def conv(self, x, w, b, stride):
        check_kernel(w, stride)
        if x.shape[3] != w.shape[2]:
            raise ValueError("channels do not match the kernel")
        images, out = x.transpose(0, 3, 1, 2), None
        for c in range(x.shape[3]):
            out = [[signal.correlate2d(im[c], w[:, :, c, o], mode="same")[::stride, ::stride] for o in range(w.shape[3])] for im in images]
        return np.array(out).transpose(0, 2, 3, 1) + b


class ConvPadOne(Convolution):
    """padding=1 for every size of kernel."""

    truth = "one pixel of zeros is padded whatever the kernel: 1 x 1 grows the image, 5 x 5 shrinks it"
    kind = "constant"

    def margins(self, n, size, stride):
        return 1, 1


class ConvUnchecked:
    """Anything goes."""

    truth = "kernels of even or unequal sizes and a stride of 3 are answered, where an error is asked for"
    kind = "check"

    def conv(self, x, w, b, stride):
        rows, cols = w.shape[:2]
        padded = np.pad(x, ((0, 0), (rows // 2,) * 2, (cols // 2,) * 2, (0, 0)))
        return np.einsum("bijcmn,mnco->bijo", sliding_window_view(padded, (rows, cols), axis=(1, 2))[:, ::stride, ::stride], w) + b


class ConvGradNotFlipped(Convolution):
    """The full convolution of dy, with the kernel as it is."""

    truth = "dx correlates dy with the kernel that is not turned around"
    kind = "backward"

    def conv_vjp(self, x, w, b, stride, dy):
        _, dw, db = super().conv_vjp(x, w, b, stride, dy)
        spread = np.zeros(x.shape[:3] + (w.shape[3],))
        spread[:, ::stride, ::stride] = dy
        return self.conv(spread, w.transpose(0, 1, 3, 2), 0, 1), dw, db


class ConvGradRepeatsStride(Convolution):
    """dy is enlarged by repetition, not by zeros."""

    truth = "at stride 2 dx takes dy enlarged by repeated pixels instead of by zeros in between"
    kind = "backward"

    def conv_vjp(self, x, w, b, stride, dy):
        _, dw, db = super().conv_vjp(x, w, b, stride, dy)
        large = dy.repeat(stride, axis=1).repeat(stride, axis=2)[:, : x.shape[1], : x.shape[2]]
        return self.conv(large, w[::-1, ::-1].swapaxes(2, 3), np.zeros(w.shape[2]), 1), dw, db


class ConvGradOverwrites(Convolution):
    """= for += in col2im (asked about in hguomin/deep-learning-from-scratch#2)."""

    truth = "col2im assigns instead of adding: a pixel keeps what the last place of the kernel sends it"
    kind = "backward"

    def put(self, image, where, values):
        image[where] = values


class ConvGradBiasMean(Convolution):
    """db averaged over the batch (asked for in heyxhh/nnet-numpy#1)."""

    truth = "db is divided by the batch"
    kind = "units"

    def conv_vjp(self, x, w, b, stride, dy):
        dx, dw, db = super().conv_vjp(x, w, b, stride, dy)
        return dx, dw, db / x.shape[0]


class ConvGradLastExample(Convolution):
    """dw is set anew for every example."""

    truth = "dw is that of the last example of the batch"
    kind = "part"

    def conv_vjp(self, x, w, b, stride, dy):
        dx, dw, db = super().conv_vjp(x, w, b, stride, dy)
        for i in range(len(x)):
            dw = super().conv_vjp(x[i : i + 1], w, b, stride, dy[i : i + 1])[1]
        return dx, dw, db


class ConvGradWraps(Convolution):
    """np.roll instead of a padded image."""

    truth = "dw sees the image wrapped around at the border, where zeros belong"
    kind = "backward"

    def conv_vjp(self, x, w, b, stride, dy):
        dx, dw, db = super().conv_vjp(x, w, b, stride, dy)
        r = len(w) // 2
        for m, n in np.ndindex(w.shape[:2]):
            shifted = np.roll(x, (r - m, r - n), axis=(1, 2))[:, ::stride, ::stride]
            dw[m, n] = np.tensordot(shifted, dy, axes=([0, 1, 2], [0, 1, 2]))
        return dx, dw, db


class ConvGradNotFlippedBiasMean(ConvGradNotFlipped):
    """Two slips in one backward pass."""

    truth = "two mistakes: dx takes the kernel unturned, and db is a mean over batch and places"
    kind = "two"

    def conv_vjp(self, x, w, b, stride, dy):
        dx, dw, _ = super().conv_vjp(x, w, b, stride, dy)
        return dx, dw, dy.mean(axis=(0, 1, 2))


class UpBilinear:
    """Linear interpolation between pixels."""

    truth = "the image is enlarged by linear interpolation instead of by repeated pixels"
    kind = "alternative"

    def up(self, x):
        return ndimage.zoom(x, (1, 2, 2, 1), order=1, mode="nearest", grid_mode=True)


class UpRounded:
    """Nearest neighbour by rounding i / 2."""

    truth = "the source of a pixel is i / 2 rounded half to even instead of rounded down"
    kind = "index"

    def up(self, x):
        rows, cols = (np.minimum(np.rint(np.arange(2 * n) / 2).astype(int), n - 1) for n in x.shape[1:3])
        return x[:, rows[:, None], cols]


class UpTiled:
    """tile for repeat."""

    truth = "copies of the whole image lie side by side"
    kind = "axis"

    def up(self, x):
        return np.tile(x, (1, 2, 2, 1))

    def up_vjp(self, x, dy):
        b, h, w, c = x.shape
        return dy.reshape(b, 2, h, 2, w, c).sum(axis=(1, 3))


class UpZeros:
    """The unpooling of a transposed convolution."""

    truth = "a pixel is put in the upper left of its four, with zeros in the others"
    kind = "alternative"

    def up(self, x):
        b, h, w, c = x.shape
        y = np.zeros((b, 2 * h, 2 * w, c))
        y[:, ::2, ::2] = x
        return y

    def up_vjp(self, x, dy):
        return dy[:, ::2, ::2].copy()


class UpGradMean:
    """Pooling as the way back."""

    truth = "the derivative of up is the mean of the four instead of the sum"
    kind = "units"

    def up(self, x):
        return np.kron(x, np.ones((1, 2, 2, 1)))

    def up_vjp(self, x, dy):
        b, h, w, c = x.shape
        return dy.reshape(b, h, 2, w, 2, c).mean(axis=(2, 4))


class PoolMaximum:
    """Max pooling."""

    truth = "the largest of the four instead of their mean, and dy goes to that one"
    kind = "alternative"

    def squares(self, x):
        b, h, w, c = x.shape
        return x.reshape(b, h // 2, 2, w // 2, 2, c)

    def pool(self, x):
        return self.squares(x).max(axis=(2, 4))

    def pool_vjp(self, x, dy):
        sq = self.squares(x)
        mask = sq == sq.max(axis=(2, 4), keepdims=True)
        return (mask * dy[:, :, None, :, None]).reshape(x.shape)


class PoolGradWhole:
    """The quarter is forgotten on the way back."""

    truth = "the derivative of pool gives all of dy to each of the four"
    kind = "factor"

    def pool(self, x):
        b, h, w, c = x.shape
        return np.einsum("bimjnc->bijc", x.reshape(b, h // 2, 2, w // 2, 2, c)) / 4

    def pool_vjp(self, x, dy):
        return np.repeat(np.repeat(dy, 2, axis=1), 2, axis=2)


class PoolHalf:
    """Divided by the window's side."""

    truth = "the sum of the four is divided by 2 instead of by 4, in both directions"
    kind = "power"

    size = 2

    def pool(self, x):
        sums = np.add.reduceat(np.add.reduceat(x, np.arange(0, x.shape[1], self.size), axis=1), np.arange(0, x.shape[2], self.size), axis=2)
        if x.shape[1] % self.size or x.shape[2] % self.size:
            raise ValueError("height and width must be even")
        return sums / self.size

    def pool_vjp(self, x, dy):
        return np.kron(dy, np.ones((1, self.size, self.size, 1))) / self.size


class PoolCrops:
    """The last row and column of an odd image are dropped."""

    truth = "odd heights and widths are cropped without an error"
    kind = "check"

    def pool(self, x):
        b, h, w, c = x.shape
        return x[:, : h // 2 * 2, : w // 2 * 2].reshape(b, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4))


class PoolReshapeOrder:
    """A reshape with the axes in the wrong order."""

    truth = "the four numbers that are averaged follow each other in memory, instead of forming a square"
    kind = "axis"

    def pool(self, x):
        b, h, w, c = x.shape
        if h % 2 or w % 2:
            raise ValueError("height and width must be even")
        return x.reshape(b, h // 2, w // 2, 2, 2, c).mean(axis=(3, 4))


class Node:
    """A value that knows where it comes from."""

    def __init__(self, value, parents=(), back=None):
        self.value, self.parents, self.back, self.grad = value, parents, back, 0.0

    def full_grad(self):
        return np.zeros_like(self.value) + self.grad


def backpropagate(out, dy):
    order, seen = [], set()

    def visit(node):
        if id(node) not in seen:
            seen.add(id(node))
            for parent in node.parents:
                visit(parent)
            order.append(node)

    visit(out)
    out.grad = dy
    for node in reversed(order):
        if node.back is not None:
            for parent, grad in zip(node.parents, node.back(node.grad), strict=True):
                parent.grad = parent.grad + grad


def unbroadcast(grad, shape):
    grad = grad.sum(axis=tuple(range(grad.ndim - len(shape))))
    return grad.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True).reshape(shape)


def plus(a, b):
    return Node(a.value + b.value, (a, b), lambda dy: (unbroadcast(dy, a.value.shape), unbroadcast(dy, b.value.shape)))


def times(a, b):
    def back(dy):
        return unbroadcast(dy * b.value, a.value.shape), unbroadcast(dy * a.value, b.value.shape)

    return Node(a.value * b.value, (a, b), back)


def matmul(a, b):
    def back(dy):
        return unbroadcast(dy @ b.value.swapaxes(-1, -2), a.value.shape), unbroadcast(a.value.swapaxes(-1, -2) @ dy, b.value.shape)

    return Node(a.value @ b.value, (a, b), back)


def reshape(x, *shape):
    return Node(x.value.reshape(shape), (x,), lambda dy: (dy.reshape(x.value.shape),))


def transpose(x, *axes):
    return Node(x.value.transpose(axes), (x,), lambda dy: (dy.transpose(np.argsort(axes)),))


def concat(*xs):
    ends = np.cumsum([x.value.shape[-1] for x in xs])[:-1]
    return Node(np.concatenate([x.value for x in xs], axis=-1), xs, lambda dy: np.split(dy, ends, axis=-1))


def part(x, channels):
    def back(dy):
        grad = np.zeros_like(x.value)
        grad[..., channels] = dy
        return (grad,)

    return Node(x.value[..., channels], (x,), back)


def detached(x):
    return Node(x.value)


class Net:
    """Layers on a tape, right; classes below change one of them."""

    eps = 1e-5
    convolution = Convolution()

    def conv2d(self, x, w, b, stride=1):
        c = self.convolution
        back = lambda dy: c.conv_vjp(x.value, w.value, b.value, stride, dy)  # noqa: E731
        return Node(c.conv(x.value, w.value, b.value, stride), (x, w, b), back)

    def dense(self, x, w, b):
        return plus(matmul(x, w), b)

    def act(self, x):
        gate = special.expit(x.value)
        return Node(x.value * gate, (x,), lambda dy: (dy * gate * (1 + x.value * (1 - gate)),))

    def standardize(self, x, groups):
        shape = x.value.shape
        g = x.value.reshape(shape[0], -1, groups, shape[-1] // groups)
        mean = lambda a: a.mean(axis=(1, 3), keepdims=True)  # noqa: E731
        rstd = 1 / np.sqrt(mean((g - mean(g)) ** 2) + self.eps)
        xhat = (g - mean(g)) * rstd

        def back(dy):
            d = dy.reshape(g.shape)
            return (((d - mean(d) - xhat * mean(d * xhat)) * rstd).reshape(shape),)

        return Node(xhat.reshape(shape), (x,), back)

    def norm(self, x, scale, shift, groups):
        return plus(times(self.standardize(x, groups), scale), shift)

    def modulation(self, emb, w, b):
        h = self.dense(emb, w, b)
        return reshape(h, len(h.value), 1, 1, -1)

    def modulate(self, x, emb, w, b, groups):
        h, c = self.modulation(emb, w, b), x.value.shape[-1]
        scale, shift = part(h, slice(c)), part(h, slice(c, None))
        return plus(times(self.standardize(x, groups), plus(scale, Node(np.ones(1)))), shift)

    def skip(self, x, p):
        return self.conv2d(x, p["shortcut_w"], p["shortcut_b"]) if "shortcut_w" in p else x

    def scale_block(self, x, emb, p, groups):
        h = self.conv2d(self.act(self.norm(x, p["norm1_scale"], p["norm1_shift"], groups)), p["conv1_w"], p["conv1_b"])
        h = self.act(self.modulate(h, emb, p["conditioning_w"], p["conditioning_b"], groups))
        return plus(self.skip(x, p), self.conv2d(h, p["conv2_w"], p["conv2_b"]))

    def shift_block(self, x, emb, p, groups):
        h = self.conv2d(self.act(self.norm(x, p["norm1_scale"], p["norm1_shift"], groups)), p["conv1_w"], p["conv1_b"])
        h = plus(h, self.modulation(emb, p["conditioning_w"], p["conditioning_b"]))
        h = self.act(self.norm(h, p["norm2_scale"], p["norm2_shift"], groups))
        return plus(self.skip(x, p), self.conv2d(h, p["conv2_w"], p["conv2_b"]))

    def factor(self, width, heads):
        return (width // heads) ** -0.5

    def apart(self, x, heads):
        b, n, c = x.value.shape
        return transpose(reshape(x, b, n, heads, c // heads), 0, 2, 1, 3)

    def together(self, x):
        b, heads, n, d = x.value.shape
        return reshape(transpose(x, 0, 2, 1, 3), b, n, heads * d)

    def soften(self, scores):
        e = np.exp(scores.value - scores.value.max(axis=-1, keepdims=True))
        y = e / e.sum(axis=-1, keepdims=True)
        return Node(y, (scores,), lambda dy: (y * (dy - (y * dy).sum(axis=-1, keepdims=True)),))

    def listen(self, q, k, v, heads):
        factor = self.factor(q.value.shape[-1], heads)
        q, k, v = (self.apart(each, heads) for each in (q, k, v))
        scores = times(matmul(q, transpose(k, 0, 1, 3, 2)), Node(np.array(factor)))
        return self.together(matmul(self.soften(scores), v))

    def attention(self, x, context, p, heads):
        q, k, v = self.dense(x, *p[0:2]), self.dense(context, *p[2:4]), self.dense(context, *p[4:6])
        return self.dense(self.listen(q, k, v, heads), *p[6:8])


PARTS = ("norm1_scale", "norm1_shift", "conv1_w", "conv1_b", "conditioning_w", "conditioning_b")
SECOND = ("conv2_w", "conv2_b", "shortcut_w", "shortcut_b")
SCALE_PARTS = PARTS + SECOND
SHIFT_PARTS = PARTS + ("norm2_scale", "norm2_shift") + SECOND


def leaves_of(arrays):
    return {name: Node(array) for name, array in arrays.items() if array is not None}


class ScaleBlock(Net):
    """block_by_scale and its derivative."""

    def block_by_scale(self, x, emb, groups, **arrays):
        return self.scale_block(Node(x), Node(emb), leaves_of(arrays), groups).value

    def block_by_scale_vjp(self, x, emb, groups, dy, **arrays):
        x, emb, p = Node(x), Node(emb), leaves_of(arrays)
        backpropagate(self.scale_block(x, emb, p, groups), dy)
        return tuple(node.full_grad() for node in (x, emb, *(p[name] for name in SCALE_PARTS)))


class ShiftBlock(Net):
    """block_by_shift and its derivative."""

    def block_by_shift(self, x, emb, groups, **arrays):
        return self.shift_block(Node(x), Node(emb), leaves_of(arrays), groups).value

    def block_by_shift_vjp(self, x, emb, groups, dy, **arrays):
        x, emb, p = Node(x), Node(emb), leaves_of(arrays)
        backpropagate(self.shift_block(x, emb, p, groups), dy)
        return tuple(node.full_grad() for node in (x, emb, *(p[name] for name in SHIFT_PARTS)))


class BlockWithoutSecondSilu(ScaleBlock):
    """norm, silu, conv, norm, conv."""

    truth = "the second silu of the block is missing"
    kind = "term"

    def scale_block(self, x, emb, p, groups):
        h = self.conv2d(self.act(self.norm(x, p["norm1_scale"], p["norm1_shift"], groups)), p["conv1_w"], p["conv1_b"])
        h = self.modulate(h, emb, p["conditioning_w"], p["conditioning_b"], groups)
        return plus(self.conv2d(h, p["conv2_w"], p["conv2_b"]), self.skip(x, p))


class BlockActivatesFirst(ScaleBlock, ShiftBlock):
    """norm(silu(x)) for silu(norm(x)), in both kinds of block."""

    truth = "silu comes before the first group norm instead of after it"
    kind = "swap"

    def act(self, x):
        return x if isinstance(x, Normal) else super().act(x)

    def norm(self, x, scale, shift, groups):
        y = super().norm(Net.act(self, x), scale, shift, groups)
        return Normal(y.value, y.parents, y.back)


class Normal(Node):
    """A node that is normalized already."""


class BlockShortcutOnlyIfNeeded(ScaleBlock, ShiftBlock):
    """nn.Identity() where the channels agree."""

    truth = "a shortcut that is given is left out where input and output have the same channels"
    kind = "branch"

    def skip(self, x, p):
        same = p["conv1_w"].value.shape[2] == p["conv1_w"].value.shape[3]
        return x if same else super().skip(x, p)


class BlockResidualNormalized(ShiftBlock):
    """x is overwritten by its normalized form (as in Howuhh/faster-trajectory-transformer#3)."""

    truth = "the residual branch starts at group_norm(x) instead of at x"
    kind = "swap"

    def shift_block(self, x, emb, p, groups):
        x = self.norm(x, p["norm1_scale"], p["norm1_shift"], groups)
        h = self.conv2d(self.act(x), p["conv1_w"], p["conv1_b"])
        h = plus(h, self.modulation(emb, p["conditioning_w"], p["conditioning_b"]))
        h = self.conv2d(self.act(self.norm(h, p["norm2_scale"], p["norm2_shift"], groups)), p["conv2_w"], p["conv2_b"])
        return plus(self.skip(x, p), h)


class BlockActivatesEmbedding(ScaleBlock, ShiftBlock):
    """SiLU before the linear layer of the embedding, where emb is activated already."""

    truth = "emb goes through another silu before the conditioning layer"
    kind = "alternative"

    def modulation(self, emb, w, b):
        return super().modulation(self.act(emb), w, b)


class BlockRootTwo(ScaleBlock, ShiftBlock):
    """The residual of score-based models, (x + h) / sqrt(2)."""

    truth = "the sum of both branches is divided by sqrt(2)"
    kind = "factor"

    def half(self, y):
        return times(y, Node(np.array(math.sqrt(0.5))))

    def scale_block(self, x, emb, p, groups):
        return self.half(super().scale_block(x, emb, p, groups))

    def shift_block(self, x, emb, p, groups):
        return self.half(super().shift_block(x, emb, p, groups))


class BlockShiftAfterNorm(ShiftBlock):
    """The embedding is added to what conv2 sees."""

    truth = "the conditioning is added after the second group norm instead of before it"
    kind = "swap"

    def shift_block(self, x, emb, p, groups):
        h = self.conv2d(self.act(self.norm(x, p["norm1_scale"], p["norm1_shift"], groups)), p["conv1_w"], p["conv1_b"])
        h = self.norm(h, p["norm2_scale"], p["norm2_shift"], groups)
        h = self.act(plus(h, self.modulation(emb, p["conditioning_w"], p["conditioning_b"])))
        return plus(self.conv2d(h, p["conv2_w"], p["conv2_b"]), self.skip(x, p))


class BlockModulateWithoutOne(ScaleBlock):
    """gamma normalize(h) + beta."""

    truth = "the modulation is scale normalize(h) + shift: the 1 is missing"
    kind = "term"

    def modulate(self, x, emb, w, b, groups):
        h, c = self.modulation(emb, w, b), x.value.shape[-1]
        return plus(times(self.standardize(x, groups), part(h, slice(c))), part(h, slice(c, None)))


class BlockShortcutPreactivated(ScaleBlock):
    """The projection of pre-activation residual networks."""

    truth = "the shortcut convolves silu(group_norm(x)) instead of x"
    kind = "alternative"

    def scale_block(self, x, emb, p, groups):
        a = self.act(self.norm(x, p["norm1_scale"], p["norm1_shift"], groups))
        h = self.modulate(self.conv2d(a, p["conv1_w"], p["conv1_b"]), emb, p["conditioning_w"], p["conditioning_b"], groups)
        h = self.conv2d(self.act(h), p["conv2_w"], p["conv2_b"])
        return plus(h, self.skip(a, p) if "shortcut_w" in p else x)


class BlockFirstEmbedding(ShiftBlock):
    """One time for the whole batch."""

    truth = "all examples are conditioned on the embedding of the first"
    kind = "part"

    def modulation(self, emb, w, b):
        return super().modulation(Node(emb.value[:1]), w, b)

    block_by_shift_vjp = None


class BlockGradWithoutShortcut(ScaleBlock):
    """dx from one branch."""

    truth = "dx leaves out what comes back through the shortcut"
    kind = "term"

    def block_by_scale_vjp(self, x, emb, groups, dy, **arrays):
        right = super().block_by_scale_vjp(x, emb, groups, dy, **arrays)
        through = np.einsum("bijo,co->bijc", dy, arrays["shortcut_w"][0, 0])
        return right[0] - through, *right[1:]


class BlockGradPlaceMean(ShiftBlock):
    """A mean over the places that the embedding was added to."""

    truth = "demb and the derivatives of the conditioning layer take the mean over the places instead of the sum"
    kind = "units"

    def modulation(self, emb, w, b):
        y = super().modulation(emb, w, b)
        return Node(y.value, (y,), lambda dy: (dy / self.places,))

    def shift_block(self, x, emb, p, groups):
        self.places = x.value.shape[1] * x.value.shape[2]
        return super().shift_block(x, emb, p, groups)


class BlockNormInPlace(ShiftBlock):
    """x -= mean; x /= std."""

    truth = "the normalization overwrites its input, so that the residual branch adds the normalized x (and the caller's array is changed)"
    kind = "alias"

    def standardize(self, x, groups):
        y = super().standardize(x, groups)
        x.value[...] = y.value
        return y


class BlockEpsAndShortcutBias(ScaleBlock):
    """A block ported in a hurry."""

    truth = "two mistakes: eps is 1e-3, and the shortcut's bias is not added"
    kind = "two"
    eps = 1e-3

    def skip(self, x, p):
        return self.conv2d(x, p["shortcut_w"], Node(np.zeros_like(p["shortcut_b"].value))) if "shortcut_w" in p else x


class DotProduct(Net):
    """scaled_dot_product and its derivative."""

    def scaled_dot_product(self, q, k, v, heads):
        return self.listen(Node(q), Node(k), Node(v), heads).value

    def scaled_dot_product_vjp(self, q, k, v, heads, dy):
        nodes = [Node(each) for each in (q, k, v)]
        backpropagate(self.listen(*nodes, heads), dy)
        return tuple(each.full_grad() for each in nodes)


ATTENTION = ("q_w", "q_b", "k_w", "k_b", "v_w", "v_b", "out_w", "out_b")


class CrossAttention(Net):
    """cross_attention and its derivative."""

    def cross_attention(self, x, context, heads, **arrays):
        return self.attention(Node(x), Node(context), [Node(arrays[name]) for name in ATTENTION], heads).value

    def cross_attention_vjp(self, x, context, heads, dy, **arrays):
        x, context, p = Node(x), Node(context), [Node(arrays[name]) for name in ATTENTION]
        backpropagate(self.attention(x, context, p, heads), dy)
        return tuple(each.full_grad() for each in (x, context, *p[:3], *p[4:]))


class SelfAttention(Net):
    """self_attention and its derivative."""

    def self_attention(self, x, heads, **arrays):
        x = Node(x)
        return self.attention(x, x, [Node(arrays[name]) for name in ATTENTION], heads).value

    def self_attention_vjp(self, x, heads, dy, **arrays):
        x, p = Node(x), [Node(arrays[name]) for name in ATTENTION]
        backpropagate(self.attention(x, x, p, heads), dy)
        return tuple(each.full_grad() for each in (x, *p[:3], *p[4:]))


class AttentionRootOfWidth(DotProduct, SelfAttention):
    """C ** -0.5, with C of all heads together."""

    truth = "the scores are divided by the root of the full width instead of a head's width"
    kind = "constant"

    def factor(self, width, heads):
        return width**-0.5


class AttentionOverHeadWidth(DotProduct):
    """The root is forgotten."""

    truth = "the scores are divided by d instead of sqrt(d)"
    kind = "power"

    def factor(self, width, heads):
        return 1 / (width // heads)


class AttentionScaledTwice(CrossAttention):
    """Queries and keys are both divided by sqrt(d)."""

    truth = "the factor 1 / sqrt(d) is applied to the queries and again to the keys"
    kind = "power"

    def listen(self, q, k, v, heads):
        root = Node(np.array((q.value.shape[-1] // heads) ** -0.5))
        return super().listen(q, times(k, root), v, heads)


class AttentionUnscaled:
    """softmax(q k^T) v, by einsum."""

    truth = "the scores are not scaled"
    kind = "term"

    def scaled_dot_product(self, q, k, v, heads):
        q, k, v = (each.reshape(*each.shape[:2], heads, -1) for each in (q, k, v))
        weights = special.softmax(np.einsum("bnhd,bmhd->bhnm", q, k), axis=-1)
        out = np.einsum("bhnm,bmhd->bnhd", weights, v)
        return out.reshape(*out.shape[:2], -1)


class AttentionOverQueries(DotProduct, SelfAttention):
    """softmax along the axis of the queries (labmlai/annotated_deep_learning_paper_implementations#146)."""

    truth = "the softmax runs over the queries instead of the keys"
    kind = "axis"

    def soften(self, scores):
        return transpose(super().soften(transpose(scores, 0, 1, 3, 2)), 0, 1, 3, 2)


class AttentionHeadsViewed(DotProduct, CrossAttention):
    """view(B, heads, N, d) without a transposition (reczoo/FuxiCTR#30)."""

    truth = "heads are cut out by a reshape alone, which mixes places and channels"
    kind = "axis"

    def apart(self, x, heads):
        b, n, c = x.value.shape
        return reshape(x, b, heads, n, c // heads)

    def together(self, x):
        b, heads, n, d = x.value.shape
        return reshape(x, b, n, heads * d)


class AttentionHeadsMergedRaw(DotProduct, SelfAttention):
    """No transposition before the heads are merged (jsbaan/transformer-from-scratch#6)."""

    truth = "the heads' answers are merged without bringing the places in front of the heads"
    kind = "axis"

    def together(self, x):
        b, heads, n, d = x.value.shape
        return reshape(x, b, n, heads * d)


class AttentionHeadsStrided(DotProduct):
    """reshape(B, N, d, heads)."""

    truth = "head h takes every heads-th channel instead of neighbouring channels"
    kind = "axis"

    def apart(self, x, heads):
        b, n, c = x.value.shape
        return transpose(reshape(x, b, n, c // heads, heads), 0, 3, 1, 2)

    def together(self, x):
        b, heads, n, d = x.value.shape
        return reshape(transpose(x, 0, 2, 3, 1), b, n, heads * d)


class AttentionOneHead:
    """The argument is not used."""

    truth = "heads is ignored: one head of the full width"
    kind = "part"

    def scaled_dot_product(self, q, k, v, heads):
        if heads < 1 or q.shape[-1] % heads:
            raise ValueError("heads must divide the channels")
        scores = q @ np.moveaxis(k, 1, 2) / np.sqrt(q.shape[-1])
        return special.softmax(scores, axis=-1) @ v


class AttentionOverflows:
    """exp of raw scores, head by head."""

    truth = "the softmax takes no maximum off: large scores give inf / inf"
    kind = "nan"
    found = False

    def scaled_dot_product(self, q, k, v, heads):
        d, out = q.shape[-1] // heads, []
        if d * heads != q.shape[-1]:
            raise ValueError("heads must divide the channels")
        with np.errstate(over="ignore", invalid="ignore"):
            for h in range(heads):
                c = slice(h * d, (h + 1) * d)
                e = np.exp(np.einsum("bnd,bmd->bnm", q[..., c], k[..., c]) / math.sqrt(d))
                out.append(e / e.sum(axis=2, keepdims=True) @ v[..., c])
        return np.concatenate(out, axis=2)


class AttentionGradUnscaled(DotProduct):
    """sqrt(d) in the forward pass only."""

    truth = "dq and dk lack the factor 1 / sqrt(d)"
    kind = "backward"

    def scaled_dot_product_vjp(self, q, k, v, heads, dy):
        dq, dk, dv = super().scaled_dot_product_vjp(q, k, v, heads, dy)
        root = math.sqrt(q.shape[-1] // heads)
        return dq * root, dk * root, dv


class AttentionGradDiagonal(DotProduct):
    """A softmax is taken for an elementwise function."""

    truth = "the softmax's derivative is y (1 - y) dy, without the off-diagonal"
    kind = "part"

    def soften(self, scores):
        y = super().soften(scores).value
        return Node(y, (scores,), lambda dy: (dy * y * (1 - y),))


class AttentionFloat32(DotProduct):
    """The softmax of mixed precision."""

    truth = "the softmax is computed in float32"
    kind = "dtype"

    def soften(self, scores):
        y = special.softmax(scores.value.astype(np.float32), axis=-1).astype(float)
        return Node(y, (scores,), lambda dy: (y * (dy - (y * dy).sum(axis=-1, keepdims=True)),))


class AttentionDropsChannels:
    """d = C // heads, whatever is left."""

    truth = "channels that the heads do not divide are dropped without an error"
    kind = "check"

    def scaled_dot_product(self, q, k, v, heads):
        d = q.shape[-1] // heads
        q, k, v = (np.stack([each[..., h * d : (h + 1) * d] for h in range(heads)]) for each in (q, k, v))
        y = special.softmax(np.einsum("hbnd,hbmd->hbnm", q, k) / np.sqrt(d), axis=-1) @ v
        return np.concatenate(list(y), axis=-1)


class AttentionScalesInPlace(DotProduct):
    """q *= d ** -0.5 saves an array."""

    truth = "the answer is right, but q is overwritten with its scaled self"
    kind = "alias"
    found = False

    def scaled_dot_product(self, q, k, v, heads):
        q *= self.factor(q.shape[-1], heads) if q.shape[-1] % heads == 0 else math.nan
        q, k, v = (each.reshape(*each.shape[:2], heads, -1).swapaxes(1, 2) for each in (q, k, v))
        y = special.softmax(q @ k.swapaxes(2, 3), axis=-1) @ v
        return np.concatenate([y[:, h] for h in range(heads)], axis=-1)

    scaled_dot_product_vjp = None


class SelfAttentionRootOfWidthResidual(AttentionRootOfWidth):
    """A layer of another architecture."""

    truth = "two mistakes: the scores are divided by the root of the full width, and x is added to the answer"
    kind = "two"
    scaled_dot_product = scaled_dot_product_vjp = None

    def attention(self, x, context, p, heads):
        return plus(super().attention(x, context, p, heads), x)


class AttentionCausal(SelfAttention):
    """A decoder's mask."""

    truth = "a place listens only to itself and those before it"
    kind = "alternative"

    def soften(self, scores):
        n, m = scores.value.shape[-2:]
        mask = np.where(np.tril(np.ones((n, m))) > 0, 0.0, -1e9)
        return super().soften(plus(scores, Node(mask)))


class CrossAttentionKeysForValues(CrossAttention):
    """k, v = v, k."""

    truth = "the layers of keys and values are exchanged"
    kind = "swap"

    def attention(self, x, context, p, heads):
        return super().attention(x, context, [*p[:2], *p[4:6], *p[2:4], *p[6:]], heads)


class CrossAttentionResidual(CrossAttention, SelfAttention):
    """The residual connection is part of the layer."""

    truth = "x is added to the answer"
    kind = "alternative"

    def attention(self, x, context, p, heads):
        return plus(x, super().attention(x, context, p, heads))


class CrossAttentionWithoutOutput(CrossAttention):
    """The last layer is made with bias=False."""

    truth = "the bias of the output layer is not added"
    kind = "term"

    def attention(self, x, context, p, heads):
        return super().attention(x, context, [*p[:7], Node(np.zeros(1))], heads)

    cross_attention_vjp = None


class CrossAttentionGradValuesOnly(CrossAttention):
    """dcontext is assigned twice."""

    truth = "dcontext has only what comes through the values, not through the keys"
    kind = "part"

    def attention(self, x, context, p, heads):
        q, k, v = self.dense(x, *p[:2]), self.dense(detached(context), *p[2:4]), self.dense(context, *p[4:6])
        return self.dense(self.listen(q, k, v, heads), *p[6:])


class SelfAttentionGradQueries(SelfAttention):
    """The backward pass of cross attention, whose dcontext is dropped."""

    truth = "dx has only what comes through the queries"
    kind = "part"

    def attention(self, x, context, p, heads):
        return super().attention(x, detached(context), p, heads)


class Unet(Net):
    """The smallest U-Net on the tape."""

    def frequencies(self, t, features):
        angles = np.outer(t, np.geomspace(1, 1e-4, features // 2))
        return np.hstack([np.sin(angles), np.cos(angles)])

    def time_embedding(self, t, features, time1, time2):
        return self.act(self.dense(self.act(self.dense(Node(self.frequencies(t, features)), *time1)), *time2))

    def block(self, x, emb, arrays, groups):
        return self.scale_block(x, emb, dict(zip(SCALE_PARTS, arrays, strict=False)), groups)

    def attended(self, x, arrays, groups, heads):
        b, h, w, c = x.value.shape
        places = reshape(self.norm(x, *arrays[:2], groups), b, h * w, c)
        return plus(x, reshape(self.attention(places, places, arrays[2:], heads), b, h, w, c))

    def merge(self, x, skips):
        return concat(x, skips.pop())

    def twice(self, x):
        def back(dy):
            return (dy[:, ::2, ::2] + dy[:, ::2, 1::2] + dy[:, 1::2, ::2] + dy[:, 1::2, 1::2],)

        return Node(x.value.repeat(2, axis=1).repeat(2, axis=2), (x,), back)

    def enlarge(self, x, w, b):
        return self.conv2d(self.twice(x), w, b)

    def head(self, x, norm, conv, groups):
        return self.conv2d(self.act(self.norm(x, *norm, groups)), *conv)

    def pair(self, take, *shape):
        return take(*shape), take(shape[-1])

    def graph(self, params, x, t, width, embedding, features, groups, heads):
        leaves, start = [], 0

        def take(*shape):
            nonlocal start
            size = math.prod(shape)
            leaves.append(Node(params[start : start + size].reshape(shape)))
            start += size
            return leaves[-1]

        def pair(*shape):
            return self.pair(take, *shape)

        def block(h, fan_in=width):
            arrays = [take(fan_in), take(fan_in), *pair(3, 3, fan_in, width), *pair(embedding, 2 * width), *pair(3, 3, width, width)]
            if fan_in != width:
                arrays += pair(1, 1, fan_in, width)
            return self.block(h, emb, arrays, groups)

        channels = x.value.shape[-1]
        emb = self.time_embedding(t, features, pair(features, embedding), pair(embedding, embedding))
        skips = [self.conv2d(x, *pair(3, 3, channels, width))]
        skips.append(block(skips[-1]))
        skips.append(self.conv2d(skips[-1], *pair(3, 3, width, width), stride=2))
        skips.append(block(skips[-1]))
        h = block(skips[-1])
        h = self.attended(h, [take(width), take(width), *[a for _ in range(4) for a in pair(width, width)]], groups, heads)
        h = block(h)
        skips = self.saved(skips)
        h = block(self.merge(h, skips), 2 * width)
        h = block(self.merge(h, skips), 2 * width)
        h = self.enlarge(h, *pair(3, 3, width, width))
        h = block(self.merge(h, skips), 2 * width)
        h = block(self.merge(h, skips), 2 * width)
        return self.head(h, (take(width), take(width)), pair(3, 3, width, channels), groups), leaves

    def saved(self, skips):
        return list(skips)

    def unet(self, params, x, **options):
        return self.graph(params, Node(x), **options)[0].value

    def unet_vjp(self, params, x, dy, **options):
        x = Node(x)
        y, leaves = self.graph(params, x, **options)
        backpropagate(y, dy)
        return np.concatenate([leaf.full_grad().ravel() for leaf in leaves]), x.full_grad()


class UnetSkipsInOrder(Unet):
    """pop(0): of the two skips at a resolution, the first saved comes first."""

    truth = "at each resolution the skip connections are taken in the order in which they were saved"
    kind = "swap"

    def saved(self, skips):
        return [skips[1], skips[0], skips[3], skips[2]]


class UnetSkipInFront(Unet):
    """cat([skip, h])."""

    truth = "the skip connection is concatenated in front of the layer below"
    kind = "swap"

    def merge(self, x, skips):
        return concat(skips.pop(), x)


class UnetSkipBeforeBlock(Unet):
    """Saved before the block instead of after it."""

    truth = "the inputs of the encoder's blocks are saved instead of their outputs, so that two skips are used twice"
    kind = "index"

    def saved(self, skips):
        return [skips[0], skips[0], skips[2], skips[2]]


class UnetWithoutLastSilu(Unet):
    """conv_out(norm_out(h))."""

    truth = "the silu before conv_out is missing"
    kind = "term"

    def head(self, x, norm, conv, groups):
        return self.conv2d(self.norm(x, *norm, groups), *conv)


class UnetEmbeddingLinear(Unet):
    """No activation after the second layer (labmlai/annotated_deep_learning_paper_implementations#165)."""

    truth = "the blocks are conditioned on time2(...) without its silu"
    kind = "term"

    def time_embedding(self, t, features, time1, time2):
        return self.dense(self.act(self.dense(Node(self.frequencies(t, features)), *time1)), *time2)


class UnetCosineFirst(Unet):
    """flip_sin_to_cos=True, with weights trained the other way."""

    truth = "the time features have the cosines in front"
    kind = "swap"

    def frequencies(self, t, features):
        return np.roll(super().frequencies(t, features), features // 2, axis=1)


class UnetTimeFraction(Unet):
    """A network that is given t / 1000."""

    truth = "t is divided by 1000 before the time features"
    kind = "units"

    def frequencies(self, t, features):
        return super().frequencies(np.asarray(t) / 1000, features)


class UnetFrequenciesGrow(Unet):
    """exp(+log(10000) i / (half - 1))."""

    truth = "the exponent of the frequencies has the other sign: they run from 1 to 10000"
    kind = "sign"

    def frequencies(self, t, features):
        angles = np.outer(t, np.geomspace(1, 1e4, features // 2))
        return np.hstack([np.sin(angles), np.cos(angles)])


class UnetSmallEpsSkipInFront(UnetSkipInFront):
    """Layers ported from another library."""

    truth = "two mistakes: eps is 1e-6 in all normalizations, and the skip connection is concatenated in front"
    kind = "two"
    eps = 1e-6


class UnetAttentionNormalized(Unet):
    """norm_x + attn(norm_x) (Howuhh/faster-trajectory-transformer#3)."""

    truth = "the attention's answer is added to group_norm(x) instead of to x"
    kind = "swap"

    def attended(self, x, arrays, groups, heads):
        b, h, w, c = x.value.shape
        places = reshape(self.norm(x, *arrays[:2], groups), b, h * w, c)
        return reshape(plus(places, self.attention(places, places, arrays[2:], heads)), b, h, w, c)


class UnetEnlargesLast(Unet):
    """up(conv(h))."""

    truth = "the convolution of upsample comes before the enlargement"
    kind = "swap"

    def enlarge(self, x, w, b):
        return self.twice(self.conv2d(x, w, b))


class UnetAttentionWithinRows(Unet):
    """A forgotten axis: rows become examples."""

    truth = "the attention works within every row of pixels instead of among all pixels"
    kind = "axis"

    def attended(self, x, arrays, groups, heads):
        b, h, w, c = x.value.shape
        rows = reshape(self.norm(x, *arrays[:2], groups), b * h, w, c)
        return plus(x, reshape(self.attention(rows, rows, arrays[2:], heads), b, h, w, c))


class UnetGradSkipsDetached(Unet):
    """The encoder gets nothing back through the skip connections."""

    truth = "the derivatives of the skip connections are dropped"
    kind = "backward"

    def saved(self, skips):
        return [detached(skip) for skip in skips]


class UnetGradTimeOnce(Unet):
    """demb is assigned by every block instead of added up."""

    truth = "the time layers get the derivative of one block only, the encoder's first"
    kind = "part"

    def time_embedding(self, *args):
        self.embedded_before = False
        return super().time_embedding(*args)

    def block(self, x, emb, arrays, groups):
        emb, self.embedded_before = detached(emb) if self.embedded_before else emb, True
        return super().block(x, emb, arrays, groups)


class RightConvCorrelate:
    """scipy's correlate2d over examples and pairs of channels; the derivatives by a matrix of the whole linear map."""

    truth = ""
    kind = "right"

    def conv(self, x, w, b, stride):
        check_kernel(w, stride)
        if x.shape[3] != w.shape[2]:
            raise ValueError("channels do not match the kernel")
        y = np.array(
            [
                [sum(signal.correlate(im[..., i], w[:, :, i, o], "same", "direct") for i in range(w.shape[2])) for o in range(w.shape[3])]
                for im in x
            ]
        )
        return np.moveaxis(y, 1, -1)[:, ::stride, ::stride] + b

    def conv_vjp(self, x, w, b, stride, dy):
        def linear(image, kernel):
            return np.vdot(self.conv(image, kernel, np.zeros_like(b), stride), dy)

        dx, dw = np.empty_like(x), np.empty_like(w)
        for i in np.ndindex(x.shape):
            unit = np.zeros_like(x)
            unit[i] = 1
            dx[i] = linear(unit, w)
        for i in np.ndindex(w.shape):
            unit = np.zeros_like(w)
            unit[i] = 1
            dw[i] = linear(x, unit)
        return dx, dw, np.einsum("bijo->o", dy)


class RightConvIm2col(Convolution):
    """im2col and col2im."""

    truth = ""
    kind = "right"


class RightResizing:
    """Kronecker products and reshapes."""

    truth = ""
    kind = "right"

    def up(self, x):
        return np.kron(x, np.ones((1, 2, 2, 1)))

    def up_vjp(self, x, dy):
        return dy.reshape(dy.shape[0], x.shape[1], 2, x.shape[2], 2, -1).sum((2, 4))

    def pool(self, x):
        left = np.kron(np.eye(x.shape[1] // 2), [0.5, 0.5])
        return np.einsum("ih,jw,bhwc->bijc", left, np.kron(np.eye(x.shape[2] // 2), [0.5, 0.5]), x)

    def pool_vjp(self, x, dy):
        return np.broadcast_to(dy[:, :, None, :, None] / 4, (len(x), x.shape[1] // 2, 2, x.shape[2] // 2, 2, x.shape[3])).reshape(x.shape)


class RightBlocks(ScaleBlock, ShiftBlock):
    """Both residual blocks on the tape."""

    truth = ""
    kind = "right"


class RightAttentionFourthRoot(DotProduct, CrossAttention, SelfAttention):
    """Queries and keys are both divided by the fourth root of d, for the sake of half precision."""

    truth = ""
    kind = "right"

    def factor(self, width, heads):
        return 1.0

    def listen(self, q, k, v, heads):
        root = Node(np.array((q.value.shape[-1] // heads) ** -0.25))
        return super().listen(times(q, root), times(k, root), v, heads)


class RightAttentionSums:
    """Every query by itself, with log-sum-exp."""

    truth = ""
    kind = "right"

    def scaled_dot_product(self, q, k, v, heads):
        y, d = np.zeros(q.shape[:2] + v.shape[2:]), q.shape[2] // heads
        if d * heads != q.shape[2]:
            raise ValueError("heads must divide the channels")
        for b, n, h in np.ndindex(*q.shape[:2], heads):
            c = slice(h * d, h * d + d)
            scores = k[b, :, c] @ q[b, n, c] / math.sqrt(d)
            y[b, n, c] = np.exp(scores - np.logaddexp.reduce(scores)) @ v[b, :, c]
        return y


class RightUnet(Unet):
    """The whole network on the tape."""

    truth = ""
    kind = "right"
