"""``refcnn devices``."""

import click


@click.command("devices")
@click.option("--retry", is_flag=True, help="Try every device anew, also those whose verdict is known.")
def command(retry):
    """List what can compute: the names that --backend takes. The one that auto takes is marked.

    A device that OpenCL lists counts as unusable until a small kernel was built, run and read back rightly. That is
    tried once, in a process of its own, and kept; what failed is tried again after a day, or with --retry.
    """
    from ..backend import Reference
    from ..display import shown
    from ..errors import BackendError
    from ..opencl.runtime import finding, trial
    from ..tables import table, terminal_width

    if retry:
        trial.forget(finding.available())
    reference = Reference()
    try:
        auto, problem = finding.best().name, None
    except BackendError as error:
        auto, problem = reference.name, error
    unusable = dict(finding.unusable())
    rows = [("", "BACKEND", "TYPE", "NAME", "PLATFORM", "DRIVER", "MEMORY")]
    for device in finding.available():
        rows.append(
            (
                "*" if device.name == auto else "",
                device.name,
                "unusable" if device in unusable else device.kind,
                device.device_name,
                device.platform_name,
                device.driver_version,
                f"{device.global_memory / 2**30:.1f} GiB",
            )
        )
    rows.append(("*" if auto == reference.name else "", reference.name, "cpu", reference.description, "", "", ""))
    for line in table(rows, left=range(len(rows[0])), width=terminal_width()):
        click.echo(shown(line))
    click.echo("* is what --backend auto takes.")
    for device, verdict in unusable.items():
        click.echo(shown(f"{device.name} is unusable: {verdict.problem}"))
    if problem is not None:
        click.echo(str(problem))
    elif finding.problems():
        click.echo("\n".join(f"Not listed: {problem}." for problem in finding.problems()))
