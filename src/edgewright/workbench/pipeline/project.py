r"""The project file (`edgewright.toml`): everything that decides what comes out, checked once.

>>> text = b'schema_version = 1\nname = "steps"\n[recipe]\nname = "har"'
>>> project = parse_project(text, source="t")
>>> project.recipe_name, project.optimize.max_drop
('har', 1.0)
>>> parse_project(text.replace(b"[recipe]", b"[recipy]"), source="t")
Traceback (most recent call last):
...
edgewright.errors.InputError: t: unknown key 'recipy'; did you mean 'recipe'?
"""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import msgspec

from edgewright._fs import read_limited
from edgewright.contract import Budgets
from edgewright.contract.decoding import convert
from edgewright.errors import InputError

FILE = "edgewright.toml"
SCHEMA_VERSION = 1

_LIMIT_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


class OptimizeSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[optimize]`: how much accuracy may go, and what for."""

    max_drop: float = 1.0
    objective: Literal["latency", "size", "energy"] = "latency"
    target: str = ""
    seed: int = 0


class ConvertSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[convert]`: further formats to write."""

    formats: tuple[str, ...] = ("onnx",)


class PackageSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[package]`: who signs, and what the bundle brings beside the model. With `drift` the windows
    that a network was trained on become what devices judge its inputs by.
    """

    key: str = "keys/release.pem"
    golden_rows: int = 32
    drift: bool = True


class Project(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A project file. `recipe` (a name and the recipe's own options), `train` and `tune` are raw
    here; the rooms that they belong to check them.
    """

    schema_version: int
    name: str
    recipe: dict[str, Any]
    version: str = "1.0.0"
    train: dict[str, Any] = {}
    tune: dict[str, Any] = {}
    optimize: OptimizeSection = OptimizeSection()
    convert: ConvertSection = ConvertSection()
    package: PackageSection = PackageSection()
    budgets: Budgets = Budgets()

    def __post_init__(self) -> None:
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(
                f"schema_version is {self.schema_version}, this edgewright reads {SCHEMA_VERSION}"
            )
        if not isinstance(self.recipe.get("name"), str):
            raise ValueError(  # noqa: TRY004 - msgspec turns ValueError into its own
                '[recipe] needs a name, like name = "har"'
            )
        for what, value in (("name", self.name), ("version", self.version)):
            if not _NAME.fullmatch(value):
                raise ValueError(
                    f"{what} {value!r}: expected letters, digits, '.', '_', '+', '-', at most 64"
                )

    @property
    def recipe_name(self) -> str:
        """Which recipe."""
        return str(self.recipe["name"])

    @property
    def recipe_options(self) -> dict[str, Any]:
        """The recipe's own options."""
        return {key: value for key, value in self.recipe.items() if key != "name"}


def read_project(folder: Path, overrides: Iterable[str] = ()) -> Project:
    """The project of a folder, with `key=value` overrides.

    Raises:
        InputError: no project there, or a key or value is wrong.
    """
    path = folder / FILE
    if not path.is_file():
        raise InputError(
            f"{folder} holds no {FILE}", hint="run `edgewright init` there, or name --project"
        )
    content = read_limited(path, limit_bytes=_LIMIT_BYTES)
    return parse_project(content, source=str(path), overrides=overrides)


def parse_project(content: bytes, *, source: str, overrides: Iterable[str] = ()) -> Project:
    """A project from its text."""
    try:
        raw = tomllib.loads(content.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{source}: not valid TOML: {error}", hint="mend that line") from error
    for override in overrides:
        _override(raw, override)
    return convert(raw, Project, source=source)


def _override(raw: dict[str, Any], text: str) -> None:
    """Set `a.b=value`; the value is TOML, or a plain word."""
    key, equals, value = text.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise InputError(f"--set {text!r}: expected key=value", hint="like train.epochs=5")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    table = raw
    for part in parts[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise InputError(f"--set {text!r}: {part!r} is a value, not a table", hint="check it")
    table[parts[-1]] = parsed
