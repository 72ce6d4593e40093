"""``refcnn tune``."""

import click

from . import streams


class _Shape(click.ParamType):
    name = "C,H,W"

    def convert(self, value, parameter, context):
        try:
            shape = tuple(int(size) for size in value.split(","))
        except ValueError:
            shape = ()
        if len(shape) != 3 or min(shape) < 1:
            self.fail(f"{value!r} is no image shape: give channels, height and width, such as 1,28,28.")
        return shape


@click.command("tune")
@click.option(
    "--device",
    "devices",
    multiple=True,
    metavar="DEVICE",
    help="opencl:PLATFORM:DEVICE; may be given several times.  [default: all OpenCL devices]",
)
@click.option(
    "--model",
    metavar="MODEL",
    help="One of the ready networks, or MODULE:FUNCTION, as in 'refcnn train': the model "
    "whose convolutions are measured.  [default: layers of VGG-16, ResNet-50, MobileNet and others]",
)
@click.option(
    "--image-shape", type=_Shape(), default="1,28,28", show_default=True, metavar="C,H,W", help="The model's images."
)
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True, metavar="N")
@click.option(
    "--defaults",
    metavar="FILE",
    help="Write for the device's family to this file, as the defaults of the "
    "package are, and not to your own database.",
)
def command(devices, model, image_shape, batch_size, defaults):
    """Measure which variant of the convolution kernels is fastest for each shape, and keep it for all later runs.

    Without this the package's defaults hold, or else a rule from the device's properties; nothing is ever timed while
    a model trains. Ctrl-C keeps what was measured by then.
    """
    from tqdm import tqdm

    from ..backend import use_backend
    from ..bench import variants
    from ..interruption import stop_if_asked
    from ..opencl.convolution import tuning
    from . import leave
    from .bench import device_names

    streams.work_goes_on()
    # Before it is measured, for minutes perhaps.
    tuning.load(tuning.writable_path(defaults))
    if model is None:
        geometries = variants.standard_geometries()
    else:
        geometries = variants.model_geometries(model, image_shape, batch_size)
    stop = None
    for name in device_names(devices):
        measured = {}
        with use_backend(name) as backend:
            click.echo(f"{name}: {backend.description}")
            try:
                for geometry in tqdm(geometries, unit="shape", disable=None, leave=False):
                    stop_if_asked()
                    found = variants.measure_directions(backend, geometry)
                    measured |= {(direction, geometry): times for direction, times in found.items()}
            except KeyboardInterrupt as asked:
                stop = asked
            device = backend.device
            for line in variants.describe_all(measured):
                click.echo(line)
            key = tuning.identity(device) if defaults is None else tuning.family(device)
            path = tuning.record(key, variants.choices(measured), defaults)
        if stop is not None:
            leave(f"Stopped: what was measured by then is in {path}.", stop, err=True)
    click.echo(f"The choices are in {path}.")
