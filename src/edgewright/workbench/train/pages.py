"""The templates of this room."""

from jinja2 import Environment, PackageLoader, StrictUndefined

PAGES = Environment(
    loader=PackageLoader("edgewright.workbench.train"),
    undefined=StrictUndefined,
    autoescape=True,
    trim_blocks=False,
)

CARDS = Environment(
    loader=PackageLoader("edgewright.workbench.train"),
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701 - Markdown, not HTML
    keep_trailing_newline=True,
)
