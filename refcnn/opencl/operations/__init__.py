"""Every operation on an OpenCL device: which kernels to launch over which sizes; the arithmetic is theirs."""
