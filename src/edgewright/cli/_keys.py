"""What commands that sign share: how a key is named, and how its password or PIN is had."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from edgewright.chain.signing_keys import Access

F = TypeVar("F", bound=Callable[..., object])

PIN_VARIABLE = "EDGEWRIGHT_PIN"
MODULE_VARIABLE = "EDGEWRIGHT_PKCS11_MODULE"


def password_option(function: F) -> F:
    """The `--password-file` of every command that opens a private key."""
    return click.option(
        "--password-file",
        type=click.Path(path_type=Path),
        help=f"The key's password, or the token's PIN, in a file's first line; else {PIN_VARIABLE} "
        "(tokens), else asked for.",
    )(function)


def access(password_file: Path | None) -> "Access":
    """How a command's keys are opened."""
    from edgewright.chain.signing_keys import Access

    return Access(password_file=password_file, pin=os.environ.get(PIN_VARIABLE, ""), ask=_asked)


def named(key: str) -> str:
    """A key as the command names it; a token's library may stand in the environment."""
    module = os.environ.get(MODULE_VARIABLE, "")
    if not key.startswith("pkcs11:") or "module-path=" in key or not module:
        return key
    return f"{key}{'&' if '?' in key else '?'}module-path={module}"


def names(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Each of several, `named`."""
    return tuple(map(named, keys))


def _asked(what: str) -> str:
    return str(click.prompt(what, hide_input=True, err=True))
