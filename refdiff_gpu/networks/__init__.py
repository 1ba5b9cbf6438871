"""Neural networks on the device: `layers`, the op set on kernels, and the networks of `refdiff` with these layers by default."""

from . import attention, classifier, convolution, layers, mlp, normalize, unet

__all__ = ["attention", "classifier", "convolution", "layers", "mlp", "normalize", "unet"]
