"""OpenCL devices: which there are, their memory, their compiled kernels, and launching those.

Nothing outside this package imports pyopencl.
"""
