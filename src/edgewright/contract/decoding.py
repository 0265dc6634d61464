"""Texts to values, with errors a person can act on: the file, the place, expected and got, did you
mean.

>>> import msgspec
>>> class Limits(msgspec.Struct, forbid_unknown_fields=True):
...     size_mb: float = 1.0
>>> decode_toml(b"size_md = 2.0", Limits, source="limits.toml")
Traceback (most recent call last):
...
edgewright.errors.InputError: limits.toml: unknown key 'size_md'; did you mean 'size_mb'?
"""

import difflib
import re
import tomllib
import types
from typing import Any, TypeVar, get_args, get_origin

import msgspec

from edgewright.errors import InputError

T = TypeVar("T")

_UNKNOWN_FIELD = re.compile(r"unknown field `(?P<field>[^`]*)`(?: - at `(?P<path>[^`]*)`)?")
_UNKNOWN_KIND = re.compile(r"Invalid value '(?P<given>.*)' - at `\$\.?(?P<path>[^`]*)`", re.DOTALL)
_AT_PATH = re.compile(r" - at `\$\.?(?P<path>[^`]*)`")


def decode_toml(content: bytes, kind: type[T], *, source: str) -> T:
    """A value from TOML.

    Raises:
        InputError: not TOML, an unknown key, a missing key, or a value of the wrong kind.
    """
    try:
        raw = tomllib.loads(content.decode("utf-8-sig"))  # some editors put a mark there
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{source}: not valid TOML: {error}", hint="mend that line") from error
    return convert(raw, kind, source=source)


def decode_json(content: bytes, kind: type[T], *, source: str) -> T:
    """A value from JSON; the same errors as `decode_toml`."""
    try:
        raw = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{source}: not valid JSON: {error}", hint="write it again") from error
    return convert(raw, kind, source=source)


def encode_json(value: object) -> bytes:
    """The one JSON text of a value: sorted keys, two spaces, a newline at the end."""
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2) + b"\n"


def convert(raw: object, kind: type[T], *, source: str) -> T:
    """A typed value from parsed TOML or JSON."""
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        message, hint = _explain(str(error), raw, kind)
        raise InputError(f"{source}: {message}", hint=hint) from error


def _explain(message: str, raw: object, kind: object) -> tuple[str, str]:
    unknown = _UNKNOWN_FIELD.search(message)
    if unknown is None:
        place = _AT_PATH.search(message)
        where = f" at '{place['path']}'" if place and place["path"] else ""
        said = _AT_PATH.sub("", message)[0].lower() + _AT_PATH.sub("", message)[1:] + where
        return said, _kind_hint(message, raw, kind) or _list_hint(message, place)
    path = (unknown["path"] or "$").removeprefix("$").removeprefix(".")
    key = f"{path}.{unknown['field']}" if path else unknown["field"]
    structs = _structs_at(kind, _steps(path), raw)
    known = sorted({f.encode_name for each in structs for f in msgspec.structs.fields(each)})
    return f"unknown key '{key}'", suggestion(unknown["field"], known) if known else ""


def _kind_hint(message: str, raw: object, kind: object) -> str:
    """The kinds that there are, where the value that tells them apart is none of them."""
    found = _UNKNOWN_KIND.fullmatch(message)
    if found is None:
        return ""
    *path, name = _steps(found["path"])
    structs = _structs_at(kind, path, raw)
    tags = [each.__struct_config__.tag for each in structs if _tag_field(each) == name]
    return suggestion(found["given"], [str(tag) for tag in tags]) if tags else ""


def _list_hint(message: str, place: re.Match[str] | None) -> str:
    """TOML has two ways to write a list, and who means one of a kind often forgets both."""
    name = place["path"].rpartition(".")[2] if place else ""
    if name and message.startswith("Expected `array`, got `object`"):
        return f"write [[{name}]] above it, with two brackets"
    if name and message.startswith("Expected `array`, got `str`"):
        return f'write {name} = ["..."]'
    return ""


def _steps(path: str) -> list[str]:
    return re.findall(r"[^.\[\]]+|\[[^]]*\]", path)


def _tag_field(struct: type[msgspec.Struct]) -> str | None:
    return struct.__struct_config__.tag_field


def _structs_at(kind: Any, path: list[str], raw: Any) -> list[type[msgspec.Struct]]:
    """What a place in a nested value may be, following the value's own tags through unions."""
    members = [kind] if not isinstance(kind, types.UnionType) else list(get_args(kind))
    origin = get_origin(kind)
    if origin in (tuple, list, dict):
        inner = get_args(kind)[1 if origin is dict else 0]
        index = path[0].strip("[]") if path else ""
        below = raw[int(index)] if isinstance(raw, list) and index.isdigit() else None
        return _structs_at(inner, path[1:], below)
    structs = [m for m in members if isinstance(m, type) and issubclass(m, msgspec.Struct)]
    tag_field = _tag_field(structs[0]) if structs else None
    if tag_field and isinstance(raw, dict):
        structs = [m for m in structs if m.__struct_config__.tag == raw.get(tag_field)] or structs
    if not path:
        return structs
    for member in structs:
        for field in msgspec.structs.fields(member):
            if field.encode_name == path[0]:
                below = raw.get(path[0]) if isinstance(raw, dict) else None
                return _structs_at(field.type, path[1:], below)
    return []


def suggestion(unknown: str, known: list[str]) -> str:
    """The sentence that ends an error about an unknown word."""
    close = difflib.get_close_matches(unknown, known, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(sorted(known))}"
