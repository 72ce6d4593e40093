"""The OpenCL backend: one module for each operation, and the devices they run on."""
