"""Neural networks on the device: the op set `layers` on kernels, and networks with these layers by default.

`residual` and `unet_init` are those of `refdiff`.
"""

from refdiff.networks import residual, unet_init

from . import attention, classifier, convolution, layers, mlp, normalize, unet

__all__ = ["attention", "classifier", "convolution", "layers", "mlp", "normalize", "residual", "unet", "unet_init"]
