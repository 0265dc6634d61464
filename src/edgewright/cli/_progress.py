"""A bar with an estimate for whatever takes longer than two seconds; plain lines when piped."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import click

_PLAIN_STEP = 0.25


class Bar(Protocol):
    """Shows how far the current task is."""

    def begin(self, task: str) -> None:
        """A new task begins."""

    def move(self, fraction: float, text: str) -> None:
        """The task is so far."""

    def end(self, text: str) -> None:
        """The task is done; the text stays."""


@contextmanager
def progress_bar() -> Iterator[Bar]:
    """A bar on stderr for a terminal, plain lines otherwise."""
    if not sys.stderr.isatty():
        yield _PlainBar()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield _RichBar(progress)


class _PlainBar:
    def __init__(self) -> None:
        self._task = ""
        self._told = 0.0

    def begin(self, task: str) -> None:
        self._task, self._told = task, 0.0

    def move(self, fraction: float, text: str) -> None:
        if fraction >= self._told + _PLAIN_STEP:
            self._told = fraction
            click.echo(f"{self._task}: {fraction:.0%} {text}".rstrip(), err=True)

    def end(self, text: str) -> None:
        click.echo(f"{self._task}: {text}", err=True)


class _RichBar:
    def __init__(self, progress: "Progress") -> None:  # type: ignore[name-defined]  # noqa: F821 - rich loads late
        self._progress = progress
        self._name = ""
        self._task = progress.add_task("", total=1.0, text="")

    def begin(self, task: str) -> None:
        self._name = task
        self._progress.reset(self._task, description=task, total=1.0, text="")

    def move(self, fraction: float, text: str) -> None:
        self._progress.update(self._task, completed=min(fraction, 1.0), text=text)

    def end(self, text: str) -> None:
        self._progress.console.print(f"{self._name:<10} {text}", highlight=False)
