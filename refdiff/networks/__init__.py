"""Neural networks with hand-written backward passes: layers, the MLP, the U-Net and the classifier."""

from . import attention, classifier, convolution, layers, mlp, normalize, residual, unet, unet_init

__all__ = ["attention", "classifier", "convolution", "layers", "mlp", "normalize", "residual", "unet", "unet_init"]
