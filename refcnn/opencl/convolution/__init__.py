"""Convolution on OpenCL devices: its sizes, its variants, and the choice between them."""
