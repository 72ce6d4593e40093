"""JAX: ``refcnn conform --device jax``, or ``jax:gpu``.

Products are of float32 in full (``jax_default_matmul_precision`` is highest); int64 is allowed, floats are of float32.
"""

import jax
import jax.image
import jax.numpy as jnp
import jax.scipy.special
import numpy as np
from jax import lax, nn
from jax.example_libraries import optimizers

from ...shapes import sides, window_extent
from ..subjects.base import NotExpressible
from .differentiating import Differentiating, only
from .formulas import Formulas, reached

jax.config.update("jax_default_matmul_precision", "highest")
jax.config.update("jax_enable_x64", True)


class Jax(Differentiating):
    """JAX's operations on one of its platforms.

    Parameters
    ----------
    platform : str, optional
        As JAX names it: ``"cpu"``, ``"gpu"``, ``"tpu"``; the default one if it is not given.
    """

    # XLA flushes them on CPUs.
    denormals = False
    version = jax.__version__

    def __init__(self, platform=None):
        self._device = jax.devices(platform)[0]
        self.name, self.operations = (
            f"JAX on {self._device.platform}",
            _Operations(jnp, jax.scipy.special, lax.stop_gradient),
        )

    def tensor(self, array):
        return jax.device_put(array, self._device)

    def array(self, tensor):
        return np.asarray(tensor)

    def gradients(self, function, inputs, dys):
        try:
            _, back = jax.vjp(function, *inputs)
            return back(dys)
        except NotImplementedError as error:
            raise NotExpressible(str(error)) from None


class _Operations(Formulas):
    """Functions of jax.nn, jax.lax and jax.image where there are such ones, else formulas of jax.numpy."""

    celu = staticmethod(nn.celu)
    elu = staticmethod(nn.elu)
    hard_sigmoid = staticmethod(only("JAX", nn.hard_sigmoid, alpha=1 / 6, beta=0.5))
    hard_swish = staticmethod(nn.hard_swish)
    log_softmax = staticmethod(nn.log_softmax)
    mish = staticmethod(nn.mish)
    relu = staticmethod(nn.relu)
    selu = staticmethod(only("JAX", nn.selu, alpha=1.6732632423543772, gamma=1.0507009873554805))
    sigmoid = staticmethod(nn.sigmoid)
    softmax = staticmethod(nn.softmax)
    softplus = staticmethod(nn.softplus)
    softsign = staticmethod(nn.soft_sign)

    def adam(self, w, g, m, r, *, lr, beta1, beta2, epsilon, step):
        start, update, _ = optimizers.adam(lr, beta1, beta2, epsilon)
        state = start(w)._replace(packed_state=[(w, m, r)])
        return update(step - 1, g, state).packed_state[0]

    def gelu(self, x, *, approximate):
        return nn.gelu(x, approximate == "tanh")

    def leaky_relu(self, x, *, alpha):
        return nn.leaky_relu(x, alpha)

    def swish(self, x, *, alpha):
        return nn.silu(x) if alpha == 1 else super().swish(x, alpha=alpha)

    def conv2d(self, x, w, b, *, stride, padding, dilation, groups):
        y = lax.conv_general_dilated(
            x, w, stride, list(sides(padding)), rhs_dilation=dilation, feature_group_count=groups
        )
        return y if b is None else y + b

    def conv_transpose2d(self, x, w, b, *, stride, padding, output_padding, dilation, groups):
        """The gradient of a convolution: one whose kernels are turned about, over pixels that lie a stride apart."""
        axes, kernel = len(stride), w.shape[2:]
        w = w.reshape(groups, len(w) // groups, *w.shape[1:]).swapaxes(1, 2).reshape(-1, len(w) // groups, *kernel)
        w = jnp.flip(w, tuple(range(2, 2 + axes)))
        geometry = zip(map(window_extent, kernel, dilation), sides(padding), output_padding, strict=True)
        y = lax.conv_general_dilated(
            x,
            w,
            (1,) * axes,
            [(extent - 1 - before, extent - 1 - after + more) for extent, (before, after), more in geometry],
            lhs_dilation=stride,
            rhs_dilation=dilation,
            feature_group_count=groups,
        )
        return y if b is None else y + b

    def max_pool2d(self, x, **geometry):
        return self._over_windows(x, -np.inf, lax.max, **geometry)

    def average_pool2d(self, x, *, count_include_padding, **geometry):
        near = geometry["padding"]
        far = reached(x.shape[2:], **geometry)
        counted = np.pad(np.ones(x.shape[2:], x.dtype), sides(near), constant_values=count_include_padding)
        behind = tuple(b - a for a, b in zip(near, far, strict=True))
        counts = _windows(
            counted[None, None], 0.0, lax.add, geometry["kernel"], geometry["stride"], behind, geometry["dilation"]
        )
        return self._over_windows(x, 0.0, lax.add, **geometry) / counts

    def lp_pool2d(self, x, *, p, **geometry):
        if p == 1:
            return self._over_windows(jnp.abs(x), 0.0, lax.add, **geometry)
        return self._over_windows(jnp.abs(x) ** p, 0.0, lax.add, **geometry) ** (1 / p)

    def global_average_pool2d(self, x):
        return jnp.mean(x, axis=tuple(range(2, x.ndim)), keepdims=True)

    def global_max_pool2d(self, x):
        return jnp.max(x, axis=tuple(range(2, x.ndim)), keepdims=True)

    def _over_windows(self, x, start, function, **geometry):
        padding = reached(x.shape[2:], **geometry)
        return _windows(x, start, function, geometry["kernel"], geometry["stride"], padding, geometry["dilation"])

    def one_hot(self, indices, *, depth, axis, off, on, dtype):
        if (indices < 0).any():
            return super().one_hot(indices, depth=depth, axis=axis, off=off, on=on, dtype=dtype)
        return jnp.where(nn.one_hot(indices, depth, axis=axis) == 1, on, off).astype(dtype)

    def pad(self, x, *, pads, mode, constant_value):
        before, after = pads[: x.ndim], pads[x.ndim :]
        kept = x[tuple(slice(max(0, -b), n - max(0, -a)) for n, b, a in zip(x.shape, before, after, strict=True))]
        widths = [(max(0, b), max(0, a)) for b, a in zip(before, after, strict=True)]
        return jnp.pad(kept, widths, mode, **({"constant_values": constant_value} if mode == "constant" else {}))

    def resize(self, x, *, axes, sizes, mode, antialias, **how):
        methods = {
            "nearest": how["nearest_mode"] == "round_prefer_ceil",
            "linear": how["exclude_outside"] or not antialias,
            "cubic": how["exclude_outside"] and how["cubic_coeff_a"] == -0.5,
        }
        is_known = (
            how["coordinate_transformation_mode"] == "half_pixel" and how["keep_aspect_ratio_policy"] == "stretch"
        )
        if sizes is None or not (is_known and methods[mode] and x.dtype.kind == "f"):
            raise NotExpressible("JAX has no such mode")
        of_axes = dict(zip(axes, sizes, strict=True))
        shape = [of_axes.get(axis, size) for axis, size in enumerate(x.shape)]
        return jax.image.resize(x, shape, mode, antialias=antialias)


def _windows(x, start, function, kernel, stride, padding, dilation):
    return lax.reduce_window(
        x,
        np.array(start, x.dtype),
        function,
        (1, 1, *kernel),
        (1, 1, *stride),
        ((0, 0), (0, 0), *sides(padding)),
        window_dilation=(1, 1, *dilation),
    )


def make(device=None):
    """Return JAX on one of its platforms."""
    return Jax(device)
