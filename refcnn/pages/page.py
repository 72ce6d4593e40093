"""Pages that need nothing else: no request, whatever they hold, and no script but those of this package."""

import base64
import hashlib
import json

from ..files import atomic_write
from . import charts, texts

#: Values of a page's Content-Security-Policy: whatever a text in it says, nothing is fetched and nothing foreign runs.
_POLICY = ("default-src 'none'", "style-src 'unsafe-inline'")
#: Characters with which JSON could end the element that it stands in, or a line of a script.
_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def environment(package):
    """Return the environment in which the templates of a package are filled, every value escaped.

    Templates extend ``page.html.jinja``, whose blocks are ``title``, ``styles`` (rules of their own, in CSS) and
    ``body``. They may call ``source(name)`` for the text of a file in their folder or in that of this package.

    Parameters
    ----------
    package : str
        Its folder ``templates`` is looked in first, then that of this package.
    """
    import jinja2
    import markupsafe

    loader = jinja2.ChoiceLoader([jinja2.PackageLoader(one, "templates") for one in (package, __package__)])
    made = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters.update(number=texts.number, thousands="{:,}".format, duration=texts.duration, day=texts.day)
    made.globals["upright_bars"] = charts.upright_bars
    made.globals["source"] = lambda name: markupsafe.Markup(loader.get_source(made, name)[0])
    return made


def render(environment, template, *, scripts=(), images=False, connects=False, loads=False, data=None, **values):
    """Return a page as text.

    Parameters
    ----------
    environment : jinja2.Environment
        As :func:`environment` gives it.
    template : str
    scripts : sequence of str
        The files of scripts that run at the end of the page, in this order; no other script runs in it.
    images : bool
        Whether it holds images, as data URLs.
    connects : bool
        Whether its scripts may ask the server that it comes from; no other, ever.
    loads : bool
        Whether its scripts may load modules and WebAssembly from that server.
    data : object, optional
        What JSON can say, for the scripts and for others: ``JSON.parse(document.getElementById("data").textContent)``.
    **values
        What the template speaks of.
    """
    import markupsafe

    sources = [environment.globals["source"](name) for name in scripts]
    policy = [*_POLICY, *["img-src data:"][: bool(images)], *["connect-src 'self'"][: bool(connects)]]
    if sources:
        loaded = ["'self'", "'wasm-unsafe-eval'"] if loads else []
        policy.append(" ".join(["script-src", *(f"'sha256-{_digest(source)}'" for source in sources), *loaded]))
    page = {"policy": "; ".join(policy), "scripts": sources}
    page["data"] = None if data is None else markupsafe.Markup(script_json(data))
    return environment.get_template(template).render(page=page, **values)


def write(environment, template, path, **values):
    """Write a page whole or not at all; the arguments are those of :func:`render`.

    Raises
    ------
    FileWriteError
        If it cannot be written.
    """
    page = render(environment, template, **values)
    with atomic_write(path) as temporary:
        # A lone surrogate, which JSON allows in a device's text, has no UTF-8. A script's digest is of plain new lines.
        temporary.write_text(page, encoding="utf-8", errors="replace", newline="\n")


def script_json(data):
    """Return data as JSON that can stand in a script element, whatever is in its texts; ValueError for NaN."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).translate(_ESCAPES)


def _digest(source):
    return base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
