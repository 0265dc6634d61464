"""The demo's page: one file, no network, dark and light."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from edgewright._fs import write_atomic
from edgewright.chain.demo.outcome import Outcome

_ENVIRONMENT = Environment(
    loader=PackageLoader("edgewright.chain.demo"), undefined=StrictUndefined, autoescape=True
)


def write_page(outcome: Outcome, path: Path) -> None:
    """Write the page."""
    template = _ENVIRONMENT.get_template("demo.html.j2")
    write_atomic(path, template.render(outcome=outcome).encode())
