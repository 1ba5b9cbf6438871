"""Every tolerance of the suite, named, with its derivation. u = eps / 2 is the unit roundoff of the precision in question."""

import numpy as np


def ulps(actual, expected):
    """Largest distance in units in the last place of the expected numbers; inf for NaN."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    distance = np.abs(actual.astype(np.longdouble) - expected.astype(np.longdouble)) / np.spacing(np.abs(expected)).astype(np.longdouble)
    return float(np.max(np.where(np.isnan(distance), np.inf, distance), initial=0))


def relative(actual, expected):
    """Largest error relative to the largest expected number, for vectors whose entries mix."""
    expected = np.asarray(expected)
    return float(np.max(np.abs(actual - expected), initial=0) / max(np.max(np.abs(expected), initial=0), np.finfo(np.float64).tiny))


def roundings(actual, expected, *terms):
    """Largest error in eps of the actual precision, relative to the largest of the expected numbers and of the terms they are summed from."""
    scale = max([float(np.max(np.abs(term), initial=0)) for term in (expected, *terms)] + [np.finfo(np.float64).tiny])
    error = float(np.max(np.abs(np.asarray(actual) - np.asarray(expected)), initial=0))
    return error / scale / float(np.finfo(np.asarray(actual).dtype).eps) if np.isfinite(error) else np.inf


# Identities between two ways of computing the same sum of a few products: each term carries at most about 8 roundings, and
# errors are measured against the largest term. 16 u on either side, so 32 u = 16 eps.
IDENTITY = 16

# Complex step has no truncation error at h = 1e-30; what is left are the roundings of two different evaluation orders over
# contractions of at most a few hundred terms, sqrt(n) u each: below 1e-13. The design asks for 1e-12.
COMPLEX_STEP = 1e-12

# Gradients of a whole U-Net by complex step, from the design: a contraction rounds as in COMPLEX_STEP, 1e-13 and less, and some
# twenty of them follow each other between an early parameter and the answer, with growth of at most a few in each: 1e-11.
UNET = 1e-11

# Moments of an affine sampler: up to 1000 steps, each rounding twice and contracting or keeping errors: 1000 * 4 u = 5e-13.
# The design asks for 1e-11.
AFFINE_MOMENTS = 1e-11

# Measured order of convergence against the theoretical one, from the design.
ORDER = 0.05

# Slerp divides sines by sin(theta); for theta up to 3, 1 / sin(theta) < 7.1, and the angle itself, taken from half chords,
# carries about 4 u (2 roundings for each norm and the quotient). 7.1 * (4 + 4) u on either side: 60 eps, doubled for float32 norms.
SLERP = 128

# scipy controls the error of each step to the tolerance; over a span of about one time constant, with growth of at most e, the errors of
# the few steps add up to a small multiple of it.
ADAPTIVE = 10


def in_eps(actual, expected, *terms):
    """Largest error in units of eps of the actual precision, elementwise relative to the sum of the |terms| (default: the expected).

    Subnormal results have no relative precision: terms count as at least the smallest normal number.
    """
    actual, wide = np.asarray(actual), np.longdouble
    info = np.finfo(actual.dtype)
    scale = sum(np.abs(np.asarray(term, dtype=wide)) for term in terms or (expected,))
    error = np.abs(actual.astype(wide) - np.asarray(expected).astype(wide)) / (info.eps * np.maximum(scale, info.tiny))
    return float(np.max(np.where(np.isnan(error), np.inf, error), initial=0))


def log_density_size(x, mean, variance):
    """Size of a log-density's terms, summed over the event (B,): the factor by which roundings of x, mean or variance are multiplied."""
    x, mean, variance = (np.asarray(value, dtype=np.float64) for value in (x, mean, variance))
    terms = (abs(x) + abs(mean)) ** 2 / variance + abs(np.log(variance)) + 2
    return np.broadcast_to(terms, x.shape).sum(axis=tuple(range(1, x.ndim)))


# Statistics of a fixed seed against their expectation, in standard errors: a correct generator exceeds 5 once in 1.7 million draws.
SIGMAS = 5

# Box-Muller in eps = 2 u, relative to the radius: the angle 2 pi u1 < 6.3 carries two roundings (2 pi itself, the product), 2 * 6.3 u;
# the radius four (log, product, root, and half of the logarithm's own), the cosine and the product one each: 19 u, below 10 eps.
BOX_MULLER = 10


def adam_roundings(beta1, beta2):
    """Bound of the error of one Adam step in u, relative to its largest term: 1 - beta^k has error u at most, divided by
    1 - beta; 16 u for the rest.
    """
    return 16 + 1 / (1 - beta1) + 1 / (1 - beta2)


# Tables of a schedule against exact products. A relative error of 2 u in log alpha_bar (log1p, sum) reaches 1 - alpha_bar through
# alpha_bar |log alpha_bar| / (1 - alpha_bar) <= 1; expm1, sqrt and the rounding of the reference add up to 3 u: below 4 ulp.
TABLE = 4

# Roundings in a beta of the linear and quadratic families: the ends' roots, two of linspace, one to square (which doubles the
# earlier), two of the factor 1000/T: at most 12 u.
FAMILY = 12

# Roundings in a beta of the cosine and sigmoid families: angles (3 u, times the sensitivity the test computes), step (3 u), four
# elementary functions (1 u each, one squared), three products and quotients: at most 16 u.
COSINE = 16

# Sines of t omega in eps = 2 u, relative to 1 + angle: the exponent, up to 9.3 with two roundings of its own, makes 9.3 * 3 u of omega;
# the exponential, the product and the sine one u each: 31 u, below 16 eps.
TIME_FEATURES = 16

# The closed-form flow of a Gaussian: a square root of a quotient of two sums, and two products: about 10 roundings.
TRANSPORT = 10

# A log-density or a divergence, relative to the sum of its terms' sizes: a difference, a square, a quotient, a logarithm and two
# sums, below 8 u each, and sums over at most 36 coordinates by pairs, below 6 u: 16 u = 8 eps.
DENSITY = 8

# Divergence of Gaussians, relative, from the design: d = log r and the series or difference cost at most 8 roundings; at
# |d| = 0.1 the difference r - 1 - d cancels a factor 20 but the error of r - 1 counts only delta times, which leaves 20 u + 16 u.
KL = 1e-14

# The same with covariances: Cholesky, two triangular solves and eigenvalues of 4 x 4 matrices, some 100 u in either direction, times the condition.
KL_FULL = 2e-14

# Log-probability of a pixel: log_ndtr of two bounds (2 eps of |z|^2 / 2 each), their difference, expm1 and log.
PIXEL = 8

# Quadratures that have converged to the last digits: what is left are a few thousand summed terms, each with about 50 u from
# exp at arguments up to 50, added with sqrt(n) u: 100 u in all. Hundredfold, for integrands that cancel by a factor of 100.
QUADRATURE = 1e-12

# The accuracy table of the design, in ulp, for the linear schedule at T = 1000. alpha_bar = exp(L) turns u of |L| <= 10 into 10 u and
# more; 1 - alpha_bar contracts the error of L; beta-tilde is one quotient, one product, and three expm1.
ALPHA_BAR = 64
ONE_MINUS_ALPHA_BAR = 8
POSTERIOR_VARIANCE = 4
LOG_SNR = 1e-13

# float32 against rounded float64, in eps of float32 relative to the summed terms: coefficients are float64 and rounded once, two
# products and a sum once each; intermediate x0 and eps of a sampler step twice that. The design asks for 4.
FLOAT32 = 4

# Frechet distance in eps = 2 u, relative to the traces: eigenvalues and singular values of matrices up to 5 x 5 are right to about d u of the
# largest, roots of eigenvalues no smaller than 1/100 of it to ten times that; two roots, a product, a sum of squares: 2 * 10 * 5 + 20 u.
FRECHET = 64

# A classifier of P = 5,571 parameters trained once through N = 76,800 examples: the excess of its cross-entropy over the least
# possible is about P / 2N = 0.036 nats (the classical risk of maximum likelihood), were it trained to the end.
EXCESS = 0.036

# Share of the exact gradient explained by a learned classifier's gradient. 0 for a network of zero gradient, -3 for a wrong sign, 0.75 for
# half the size; so 0.8 separates these from a correct one.
EXPLAINED = 0.8

# Log-densities of a mixture: a quadratic form in up to 3 dimensions through an eigenbasis against one through another
# factorization, each about d^2 roundings times a condition of up to 10 / 0.05; relative to the largest term.
MIXTURE_DENSITY = 2000

# Two formulas differ where, on generic numbers of order 1, they come out further apart than a hundredth of the right
# one: at least 10^13 roundings, which only a different formula explains.
DIFFERENT_FORMULA = 0.01

# Tweedie's formula against conditioning: a solve of at most 3 equations (10 u times the condition, which the test multiplies in),
# and about 10 roundings of the terms: 32 u.
TWEEDIE = 16


def float32_gradient(width, rows):
    """Error of the MLP's float32 gradient in eps, relative to each array's largest number; three hidden layers of `width`, `rows` examples.

    An entry passes four contractions forward, up to three back (sqrt(width) u each, as roundings of either sign add up), one over the
    rows (sqrt(rows) u) and about 20 elementwise operations; the sum, doubled since u = eps / 2 and signs may conspire.
    """
    return 7 * width**0.5 + rows**0.5 + 20


# Time features in float32, in eps = 2 u, absolute: an angle reduced to [-pi, pi] is rounded once, pi u at most; sine and cosine are
# within 4 ulp, 4 u below 1; the reference's own rounding u / 2: below 8 u.
TIME_FEATURES_32 = 4

# SiLU in eps = 2 u: exp of an exact argument (2 u), 1 + e, a quotient and a product: 5 u, relative to the result. By tanh, the gate
# (1 + tanh) / 2 is off by 2 u absolutely: relative to x, both formulas together stay below 8 u.
SILU = 4

# Slope of SiLU by two formulas, s (1 + x (1 - s)) and s (1 + x - y), in eps relative to 1 + |x|: in the second y loses u |x|; 3 u each
# for the rest.
SILU_SLOPE = 4

# Training curves by two orders of summation, over the change of the curves under one rounding of every parameter at the start: each of some 30
# steps rounds anew (sqrt(30) = 5.5 with random signs) in about 10 layers' operations (sqrt(10) = 3.2) on sums of up to a few
# hundred terms (sqrt(300) = 17). Their product, 300, for the expected size; tripled for the largest of the curve's deviations.
ROUNDING_GROWTH = 1000

# Weights of the squares in the ELBO, in eps: quotients and products of at most six tables, each within TABLE u of exact: 24 u, and
# six operations: 30 u, below 16 eps.
WEIGHT = 16

# A data set's constants against moments of its formula on a lattice: the midpoint rule with h = 1 / 1000 or finer errs by
# h^2 / 24 times a second derivative, which for the longest curve (a^2 over three turns and u) is below 1e3, so below 5e-5 of the
# scale; coordinates reach 3 scales.
CURVE_QUADRATURE = 1.5e-4

# Fields and samples in float32 by two evaluation orders (slices of a batch, fast layers), relative to the largest number: up to 50
# steps or 20 updates, each adding some 100 roundings of u = 6e-8 with random signs, and outputs that multiply the error a few times.
FLOAT32_FIELD = 1e-3

# Moments of a mixture fitted by k-means: 50 rounds on a thousand points leave at most a few points between two clusters, each of which
# moves the mean of a cluster by 1 / 250 of a scale, shared out over the label: 1e-3.
KMEANS = 2e-3

# Winograd's algorithm sums terms that largely cancel, to a result of the tile's common size: its errors count relative to the largest sum
# of the terms' sizes, sum |x| |w|. In one dimension its matrices can make a rounding grow by up to 48 (the largest row of
# |A^T| (|G| 1 * |B^T| 1)), in two by that squared; signs being random, the largest in 18,000 drawn convolutions was 68 eps.
WINOGRAD = 80

# Losses and gradients of a whole U-Net in float32, relative to the largest number of a layer's gradient: contractions over thousands
# of pixels, sqrt(n) u each, through some fifty layers, Winograd's constants among them; measured 1.5e-6, and 4.1e-6 for PyTorch.
UNET_FLOAT32 = 2e-5

# Five steps of training in float64, with sums in another order. A gradient that is 0 but for rounding is 1e-16 of the others, which Adam
# divides by its own size plus eps = 1e-8: such a parameter moves by up to 1e-8 of a step.
TRAINED_ELSEWHERE = 1e-8
