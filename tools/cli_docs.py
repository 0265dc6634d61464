"""Writes docs/cli.md from the commands' own help: `python tools/cli_docs.py` (or `--check`).

The page cannot fall behind: a test compares it with what this prints.
"""

import sys
from pathlib import Path

import click

from edgewright.cli._main import root

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"
WIDTH = 88

HEAD = """\
# Commands

Written by `python tools/cli_docs.py` from the commands' own help; do not edit by hand.

Every command that prints results takes `--json`. Exit codes: 0 ok, 2 wrong input or usage,
3 something is not installed, 4 the other side did not answer, 5 not trusted, 6 the device failed,
7 a measured limit was missed, 8 this machine lacks disk, permission or a port, 9 a measurement that
is not sound (`validate`), 130 interrupted.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    context = click.Context(root, info_name="edgewright", terminal_width=WIDTH)
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        assert command is not None
        parts += sections(command, context, name, level=2)
    return "\n".join(parts)


def sections(command: click.Command, above: click.Context, name: str, *, level: int) -> list[str]:
    """A command's section and those of the commands below it."""
    context = click.Context(command, parent=above, info_name=name, terminal_width=WIDTH)
    shown = command.get_help(context).rstrip()
    texts = [f"{'#' * level} {context.command_path}\n\n```text\n{shown}\n```\n"]
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            if found is not None and not found.hidden:
                texts += sections(found, context, below, level=min(level + 1, 4))
    return texts


def main() -> int:
    """Write the page, or with `--check` only say whether it is up to date."""
    text = page()
    if "--check" in sys.argv[1:]:
        if PAGE.read_text() == text:
            return 0
        sys.stderr.write(
            "docs/cli.md is not what the commands say; run: python tools/cli_docs.py\n"
        )
        return 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
