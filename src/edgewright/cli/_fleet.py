"""What the commands of a fleet share: where it is and which project of it is meant, who gives the
command, how results are shown, spans of time.
"""

import functools
import getpass
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgewright.cli._output import json_option, print_json, print_table
from edgewright.clock import iso

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgewright.fleet.client import Fleet
    from edgewright.fleet.office import Office

F = TypeVar("F", bound=Callable[..., object])

_SPAN = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>[smhd]?)")
_UNIT_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_TOKEN_VARIABLE = "EDGEWRIGHT_FLEET_TOKEN"  # noqa: S105 - where it is, not what it is


@dataclass(frozen=True)
class Place:
    """A project of the fleet in a folder."""

    home: Path
    project: str


@dataclass(frozen=True, kw_only=True)
class Anywhere:
    """A project of a fleet in a folder, or at an address when there is one."""

    home: Path
    project: str
    url: str = ""
    token_file: Path | None = None
    ca: Path | None = None


@dataclass(frozen=True)
class Shown:
    """What a command found: for programs as a kind of JSON document, for people by `show`."""

    kind: str
    value: object
    show: Callable[[], None]


def said(kind: str, value: object, text: str) -> Shown:
    """A result that people read as one line."""
    return Shown(kind, value, lambda: click.echo(text))


def listed(kind: str, values: "Mapping[str, object]", columns: Any, rows: Any) -> Shown:
    """A result that people read as a table."""
    return Shown(kind, values, lambda: print_table("", columns, rows))


def fleet_command(
    group: click.Group, name: str | None = None
) -> Callable[[Callable[..., Shown]], click.Command]:
    """A command on one project of a fleet, in a folder or at an address: the function gets the
    fleet first, then its own options; what it returns is shown.
    """

    def decorate(function: Callable[..., Shown]) -> click.Command:
        @functools.wraps(function)
        def run(*, as_json: bool, **options: Any) -> None:
            with fleet_at(_taken_out(options)) as fleet:
                shown = function(fleet, **options)
            if as_json:
                print_json(shown.kind, shown.value)
            else:
                shown.show()

        own = getattr(function, "__click_params__", [])
        common = getattr(_common_options, "__click_params__", [])
        vars(run)["__click_params__"] = [*common, *own]
        return group.command(name)(run)

    return decorate


def anywhere_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a `fleet_command`, for a command that does more where the fleet's folder is:
    it gets `place: Anywhere`.
    """

    @address_options
    @project_option
    @home_option
    @functools.wraps(function)
    def with_place(*arguments: Any, **options: Any) -> Any:
        return function(*arguments, place=_taken_out(options), **options)

    return with_place


def _taken_out(options: dict[str, Any]) -> Anywhere:
    names = ("home", "project", "url", "token_file", "ca")
    return Anywhere(**{name: options.pop(name) for name in names})


def place_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The `--home` and `--project` of a command that works in the fleet's folder only."""

    @project_option
    @home_option
    @functools.wraps(function)
    def with_place(*arguments: Any, home: Path, project: str, **options: Any) -> Any:
        return function(*arguments, place=Place(home, project), **options)

    return with_place


def default_home() -> Path:
    """Where a fleet lives when nobody says."""
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "edgewright" / "fleet"


def project_option(function: F) -> F:
    """The `--project` of every command on what belongs to a project."""
    return click.option(
        "--project",
        default="default",
        envvar="EDGEWRIGHT_FLEET_PROJECT",
        show_default=True,
        help="The project of the fleet that is meant.",
    )(function)


def home_option(function: F) -> F:
    """The `--home` of every fleet command."""
    return click.option(
        "--home",
        type=click.Path(path_type=Path, file_okay=False),
        default=default_home,
        envvar="EDGEWRIGHT_FLEET_HOME",
        show_default="~/.local/share/edgewright/fleet",
        help="The fleet's folder.",
    )(function)


def address_options(function: F) -> F:
    """Where a fleet is that is not in a folder of this machine."""
    address = click.option(
        "--fleet",
        "url",
        default="",
        envvar="EDGEWRIGHT_FLEET_URL",
        help="Address of a fleet that runs elsewhere, instead of --home.",
    )
    token = click.option(
        "--token-file",
        type=click.Path(path_type=Path, dir_okay=False),
        help=f"Your token for it; or the variable {_TOKEN_VARIABLE}.",
    )
    ca = click.option(
        "--ca",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="EDGEWRIGHT_FLEET_CA",
        help="Whose certificates to believe (PEM); the system's when absent.",
    )
    return address(token(ca(function)))


@json_option
@address_options
@project_option
@home_option
def _common_options() -> None:
    """Holds the options of every `fleet_command`."""


@contextmanager
def opened(place: Place) -> "Iterator[Office]":
    """The services of a project, in a folder that has a fleet."""
    from edgewright.chain.fleet import open_fleet

    with open_fleet(place.home) as office:
        yield office.within(office.projects.require(place.project))


@contextmanager
def fleet_at(place: Anywhere) -> "Iterator[Fleet]":
    """A project of a fleet in a folder or at an address."""
    if not place.url:
        from edgewright.fleet.client import LocalFleet

        with opened(Place(place.home, place.project)) as office:
            yield LocalFleet(office, by=operator())
        return
    from edgewright.chain.fleet_client import connect

    token = os.environ.get(_TOKEN_VARIABLE, "")
    with connect(
        place.url,
        project=place.project,
        token=token,
        token_file=place.token_file,
        ca=place.ca,
    ) as fleet:
        yield fleet


def operator() -> str:
    """Who gives the command, for the audit log."""
    return f"{getpass.getuser()}@command-line"


def seconds(_ctx: click.Context, _param: click.Parameter, text: str) -> float:
    """An option's span of time like 90s, 15m, 12h, 7d."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise click.BadParameter(f"{text!r}: expected a span of time like 90s, 15m, 12h or 7d")
    return float(found["number"]) * _UNIT_S[found["unit"]]


def seconds_or_none(ctx: click.Context, param: click.Parameter, text: str | None) -> float | None:
    """The same for an option that may be absent."""
    return None if text is None else seconds(ctx, param, text)


def moment(text: str) -> float | None:
    """A moment like 2026-01-31T06:10:00Z in seconds since 1970; None when none is given."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.UsageError(f"{text!r}: expected a moment like 2026-01-31T06:10:00Z") from error
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def when(at_s: float | None) -> str:
    """A time for a table."""
    return iso(at_s) if at_s else ""
