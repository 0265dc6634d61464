"""What the commands of a fleet share: its home, who gives the command, spans of time."""

import getpass
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from edgewright.clock import iso

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from edgewright.fleet.office import Office

F = TypeVar("F", bound=Callable[..., object])

_SPAN = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>[smhd]?)")
_UNIT_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


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


def default_home() -> Path:
    """Where a fleet lives when nobody says."""
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "edgewright" / "fleet"


def opened(home: Path) -> "AbstractContextManager[Office]":
    """The fleet in a folder that has one."""
    from edgewright.chain.fleet import open_fleet

    return open_fleet(home)


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
