"""Every command that the pages about trust print is one that there is, with options that it has."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from edgewright.cli._main import root

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGES = [*sorted((DOCS / "runbooks").glob("*.md")), DOCS / "trust.md", DOCS / "secure-boot.md"]
STEP = re.compile(r"(?:^|&& )\s*(edgewright [^\n]*)", re.MULTILINE)
INLINE = re.compile(r"`(edgewright [^`]+)`")
FENCED = re.compile(r"^\s*```\n(.*?)^\s*```", re.DOTALL | re.MULTILINE)


def printed(page: Path) -> Iterator[str]:
    """The commands of a page, in code blocks and in its sentences."""
    text = page.read_text(encoding="utf-8")
    for block in FENCED.findall(text):
        yield from STEP.findall(block.replace("\\\n", " "))
    yield from INLINE.findall(FENCED.sub("", text).replace("\n", " "))


COMMANDS = sorted({(page.name, line) for page in PAGES for line in printed(page)})


def parse(words: list[str]) -> None:
    """What the command line does before it does anything."""
    group: click.Command = root
    context = root.make_context("edgewright", words)
    while isinstance(group, click.Group):
        rest = [*context._protected_args, *context.args]
        if not rest:
            return
        name, command, rest = group.resolve_command(context, rest)
        assert command is not None
        context = command.make_context(name, rest, parent=context)
        group = command


def test_the_pages_print_commands() -> None:
    assert len(COMMANDS) > 40


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_a_printed_command_can_be_given(page: str, line: str) -> None:
    words = shlex.split(re.split(r" [<>|] ", line)[0], comments=True)[1:]
    is_whole = "..." not in words
    try:
        parse([word for word in words if word != "..."])
    except click.MissingParameter:
        assert not is_whole, "a parameter is missing"


@pytest.mark.parametrize("line", ["trust sing repo --key k", "trust sign repo --keys k", "agent x"])
def test_a_command_that_there_is_not_would_be_noticed(line: str) -> None:
    with pytest.raises(click.UsageError):
        parse(line.split())
