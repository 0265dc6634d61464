"""How results look: JSON for programs, tables for people, plain text when piped."""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePath
from typing import TypeVar

import click
import msgspec

F = TypeVar("F", bound=Callable[..., object])

JSON_SCHEMA_VERSION = 1
_NAME_SHARE = 3
"""A first column of at most this part of the width is not folded."""


def json_option(function: F) -> F:
    """The `--json` flag that every command with results has."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")(
        function
    )


def print_json(kind: str, value: object) -> None:
    """One JSON document on stdout, with its kind and schema version."""
    document = {
        "schema_version": JSON_SCHEMA_VERSION,
        "kind": kind,
        **msgspec.to_builtins(value, str_keys=True, enc_hook=_plain),
    }
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    sys.stdout.flush()


def _plain(value: object) -> str:
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} is nothing that JSON knows")


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on stdout; tab-separated without a title when piped. In a narrow terminal cells are
    folded, never cut: a name or an id is there to be copied. Names, which come first, stay whole.
    """
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in [list(columns), *texts]:
            click.echo("\t".join(row))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(
        title=title or None,
        title_justify="left",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for place, column in enumerate(columns):
        longest = max((len(row[place]) for row in texts), default=0)
        is_name = place == 0 and longest <= console.width // _NAME_SHARE
        table.add_column(column, no_wrap=is_name, overflow="fold")
    for row in texts:
        table.add_row(*row)
    console.print(table)


def calm_threads() -> None:
    """Let idle OpenMP threads sleep; call it before torch is imported.

    They spin otherwise, which on a machine with other work made training eight times slower.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def say(message: str) -> None:
    """A line of progress, on stderr."""
    click.echo(message, err=True)
