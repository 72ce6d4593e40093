"""The OpenCL backend: every operation as kernels that run on any vendor's device."""


def set_opencl_active(active=True):
    """Compute on the best OpenCL device from now on, or on the reference backend again.

    The short form of ``refcnn.use_backend("opencl")`` and
    ``refcnn.use_backend("reference")``.

    Raises
    ------
    BackendError
        If there is no OpenCL device.
    """
    from ..backend import use_backend

    use_backend("opencl" if active else "reference")
