"""All GPU kernels as data: `kernel` defines what a kernel is, `table` collects those of the other modules by name.

`samplers`, `layers`, `images`, `optim` and `rng` hold the kernels' bodies. `python -m refdiff_gpu.kernels` lists them.
"""
