"""The page's values and its template."""

from importlib import resources

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined

from edgewright.clock import iso
from edgewright.fleet.office import Office

SHOWN = 200
ALERTS_SHOWN = 15

_STANDINGS = ("succeeded", "failed", "updating", "ordered", "pending", "waiting", "left")


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Who looks at the page; `csrf` goes into its forms. `projects` are those it may choose."""

    name: str
    role: str
    csrf: str
    projects: tuple[str, ...] = ()


def render_login(*, problem: str = "", has_provider: bool = False) -> str:
    """The form to log in, with a way to the identity provider where there is one."""
    template = _ENVIRONMENT.get_template("login.html")
    return template.render(problem=problem, has_provider=has_provider)


def render_welcome(name: str) -> str:
    """Shown for a moment to who comes from the identity provider."""
    return _ENVIRONMENT.get_template("welcome.html").render(name=name)


def render_fleet(office: Office, person: Person | None = None) -> str:
    """The page as HTML, for a person or, on loopback, for whoever is at this machine."""
    now_s, alerts = office.clock.wall_s(), office.watch.alerts()
    return _ENVIRONMENT.get_template("fleet.html").render(
        now=iso(now_s),
        person=person,
        project=office.project,
        shown=SHOWN,
        standings=_STANDINGS,
        device_count=office.devices.count(),
        devices=[
            (device, _ago(device.last_seen_s, now_s)) for device in office.devices.find(limit=SHOWN)
        ],
        releases=office.registry.releases()[:SHOWN],
        rollouts=office.rollouts.list(newest=20),
        alerts=alerts[:ALERTS_SHOWN],
        more_alerts=max(0, len(alerts) - ALERTS_SHOWN),
    )


def style_sheet() -> bytes:
    """The page's CSS."""
    return resources.files("edgewright.fleet.ui").joinpath("style.css").read_bytes()


def _ago(at_s: float | None, now_s: float) -> str:
    """How long ago, in words.

    >>> _ago(None, 100.0), _ago(98.0, 100.0), _ago(0.0, 7300.0)
    ('never', '2 s ago', '2 h ago')
    """
    if at_s is None:
        return "never"
    passed_s = max(0.0, now_s - at_s)
    for size_s, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if passed_s >= size_s:
            return f"{passed_s // size_s:.0f} {unit} ago"
    return f"{passed_s:.0f} s ago"


def _bytes_text(size_bytes: int) -> str:
    """A size for people.

    >>> _bytes_text(1_250_000)
    '1.2 MB'
    """
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 100_000 else f"{size_bytes / 1e3:.1f} kB"


_ENVIRONMENT = Environment(
    loader=PackageLoader("edgewright.fleet.ui"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters.update(iso=iso, size=_bytes_text)
