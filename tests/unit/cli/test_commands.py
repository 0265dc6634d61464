"""Promises that hold for every command."""

import importlib

import click
import pytest
from click.testing import CliRunner

import cli_docs
from edgewright.cli._main import COMMANDS, root
from edgewright.cli._numbers import Number, NumberRange


def every_command() -> list[tuple[str, click.Command]]:
    context = click.Context(root, info_name="edgewright")
    found: list[tuple[str, click.Command]] = []

    def walk(path: str, command: click.Command) -> None:
        found.append((path, command))
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                assert below is not None
                walk(f"{path} {name}", below)

    for name in root.list_commands(context):
        command = root.get_command(context, name)
        assert command is not None
        walk(name, command)
    return found


EVERY = every_command()


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_table_says_what_the_command_says(name: str) -> None:
    module, attribute, text = COMMANDS[name]
    command = getattr(importlib.import_module(f"edgewright.cli.{module}"), attribute)
    assert command.name == name
    assert command.get_short_help_str(limit=200) == text


@pytest.mark.parametrize(("path", "command"), EVERY, ids=[path for path, _ in EVERY])
def test_every_command_says_what_it_is_for(path: str, command: click.Command) -> None:
    assert command.help
    result = CliRunner().invoke(root, [*path.split(), "--help"])
    assert result.exit_code == 0
    assert result.output.startswith("Usage: ")


def test_no_number_of_the_command_line_may_be_nan_or_inf() -> None:
    loose = [
        f"{path} {option.name}"
        for path, command in EVERY
        for option in command.params
        if isinstance(option.type, click.types.FloatParamType)
        and not isinstance(option.type, (Number, NumberRange))
    ]
    assert loose == []
    for text in ("nan", "inf", "-inf"):
        result = CliRunner().invoke(root, ["validate", "http://127.0.0.1:9", f"--seconds={text}"])
        assert result.exit_code == 2
        assert "is not a finite number" in result.output or "not in the range" in result.output


def test_no_seed_may_be_below_nothing() -> None:
    seeds = [
        (path, option)
        for path, command in every_command()
        for option in command.params
        if option.name == "seed"
    ]
    assert "optimize" in dict(seeds)
    for path, option in seeds:
        assert isinstance(option.type, click.IntRange), path
        assert option.type.min == 0, path


def test_docs_page_is_what_the_commands_say() -> None:
    assert cli_docs.PAGE.read_text() == cli_docs.page(), "run: python tools/cli_docs.py"


def test_the_table_is_sorted_for_people() -> None:
    assert list(COMMANDS) == sorted(COMMANDS)


@pytest.mark.parametrize(
    ("words", "suggestion"),
    [(["bundel"], "did you mean 'bundle'"), (["servr"], "did you mean 'serve'")],
)
def test_a_misspelt_command_is_answered_with_a_guess(words: list[str], suggestion: str) -> None:
    result = CliRunner().invoke(root, words)
    assert result.exit_code == 2
    assert suggestion in result.output
