"""The kernels as data: the table and its chapters. `python -m refdiff_gpu.kernels` lists them."""
