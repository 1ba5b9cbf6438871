"""Proofs without a GPU: that kernels are correct, that they compile, what they cost, and that device and host agree.

`lint`, `source`, `host_compiler`, `nvrtc` and `cupy_source` check the kernels' source text, by rules and by compilers.
`cost` counts launches, bytes and operations, and `report` compares every equation of `cases` with the host; both run on
the emulated device, and `report` also on a real one.
"""
