"""The OpenCL backend: every operation as kernels that run on any vendor's device."""
