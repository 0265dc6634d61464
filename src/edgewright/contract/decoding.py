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
_AT_PATH = re.compile(r" - at `\$\.?(?P<path>[^`]*)`")


def decode_toml(content: bytes, kind: type[T], *, source: str) -> T:
    """A value from TOML.

    Raises:
        InputError: not TOML, an unknown key, a missing key, or a value of the wrong kind.
    """
    try:
        raw = tomllib.loads(content.decode())
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
        return _AT_PATH.sub("", message)[0].lower() + _AT_PATH.sub("", message)[1:] + where, ""
    path = (unknown["path"] or "$").removeprefix("$").removeprefix(".")
    key = f"{path}.{unknown['field']}" if path else unknown["field"]
    known = _fields_at(kind, re.findall(r"[^.\[\]]+|\[[^]]*\]", path), raw)
    return f"unknown key '{key}'", suggestion(unknown["field"], known) if known else ""


def _fields_at(kind: Any, path: list[str], raw: Any) -> list[str]:
    """The keys that a place in a nested value may have, following the value's own tags through
    unions.
    """
    members = [kind] if not isinstance(kind, types.UnionType) else list(get_args(kind))
    origin = get_origin(kind)
    if origin in (tuple, list, dict):
        inner = get_args(kind)[1 if origin is dict else 0]
        index = path[0].strip("[]") if path else ""
        below = raw[int(index)] if isinstance(raw, list) and index.isdigit() else None
        return _fields_at(inner, path[1:], below)
    structs = [m for m in members if isinstance(m, type) and issubclass(m, msgspec.Struct)]
    tag_field = structs[0].__struct_config__.tag_field if structs else None
    if tag_field and isinstance(raw, dict):
        structs = [m for m in structs if m.__struct_config__.tag == raw.get(tag_field)] or structs
    if not path:
        return sorted({field.encode_name for m in structs for field in msgspec.structs.fields(m)})
    for member in structs:
        for field in msgspec.structs.fields(member):
            if field.encode_name == path[0]:
                below = raw.get(path[0]) if isinstance(raw, dict) else None
                return _fields_at(field.type, path[1:], below)
    return []


def suggestion(unknown: str, known: list[str]) -> str:
    """The sentence that ends an error about an unknown word."""
    close = difflib.get_close_matches(unknown, known, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(sorted(known))}"
