"""Neural networks on the device."""

from . import attention, classifier, convolution, layers, mlp, normalize, unet

__all__ = ["attention", "classifier", "convolution", "layers", "mlp", "normalize", "unet"]
