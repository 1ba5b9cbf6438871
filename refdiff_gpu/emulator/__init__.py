"""A GPU emulated with NumPy: `emulate` runs kernels, `guard` is an array type that refuses what CuPy refuses.

`parse` and `interpreter` execute the kernels' source text. `allowed_calls` lists what CuPy arrays can do, `transfers`
controls what passes between host and device, and `launch_counter` and `numpy_launches` count the cost.
"""
