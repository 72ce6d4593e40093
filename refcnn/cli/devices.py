"""``refcnn devices``."""

import click


@click.command("devices")
def command():
    """List what can compute: the names that --backend takes. The one that auto takes is marked."""
    from ..backend import Reference
    from ..errors import BackendError
    from ..opencl.device import available, best

    reference = Reference()
    try:
        auto, problem = best().name, None
    except BackendError as error:
        auto, problem = reference.name, error
    rows = [("", "BACKEND", "TYPE", "NAME", "PLATFORM", "DRIVER", "MEMORY")]
    for device in available():
        rows.append((
            "*" if device.name == auto else "", device.name, device.kind, device.device_name, device.platform_name,
            device.driver_version, f"{device.global_memory / 2**30:.1f} GiB",
        ))  # fmt: skip
    rows.append(("*" if auto == reference.name else "", reference.name, "cpu", reference.description, "", "", ""))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    click.echo("* is what --backend auto takes.")
    if problem is not None:
        click.echo(str(problem))
