r"""Where this user's pip takes wheels from, said in uv's words.

pip's settings come as the text of `pip config list`; nothing here touches disk or network. What the
user told uv itself, by `UV_*` variables or a `uv.toml`, is never replaced.

    >>> pairs = parse("global.find-links='/wheels'\n:env:.cert='/ca.pem'")
    >>> uv_environment(pairs, {}, frozenset(), lambda path: True)
    {'UV_FIND_LINKS': '/wheels', 'SSL_CERT_FILE': '/ca.pem'}
"""

import ast
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

Exists = Callable[[Path], bool]

_SECTIONS = ("global", "install", ":env:")
"""Sections that `pip install` reads, the later ones win."""

_LOCATIONS = ("find-links", "index-url", "extra-index-url")
_YES = frozenset({"1", "true", "yes", "on"})

_UV_SAME_MEANING = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "no-cache-dir": "UV_NO_CACHE",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "trusted-host": "UV_INSECURE_HOST",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "timeout": "UV_HTTP_TIMEOUT",
    "retries": "UV_HTTP_RETRIES",
    "proxy": "ALL_PROXY",
}

_UV_RIVALS = {
    "UV_DEFAULT_INDEX": ("UV_INDEX_URL",),
    "UV_INDEX": ("UV_EXTRA_INDEX_URL",),
    "ALL_PROXY": ("all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"),
}
"""Older or narrower variables by which a user may have said the same to uv."""

_UV_FILE_KEYS = {
    "UV_DEFAULT_INDEX": ("index", "index-url"),
    "UV_INDEX": ("index", "extra-index-url"),
    "UV_INDEX_STRATEGY": ("index-strategy",),
    "UV_FIND_LINKS": ("find-links",),
    "UV_NO_INDEX": ("no-index",),
    "UV_NO_CACHE": ("no-cache",),
    "UV_INSECURE_HOST": ("allow-insecure-host",),
}
"""Keys of uv.toml by which a user may have said the same to uv."""


def parse(config_list: str) -> dict[str, str]:
    """The settings that `pip install` would use, from the output of `pip config list`."""
    found: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for line in config_list.splitlines():
        name, equals, quoted = line.partition("=")
        section, dot, key = name.rpartition(".")
        if equals and dot and section in found:
            found[section][key] = _unquoted(quoted)
    merged = {key: value for section in _SECTIONS for key, value in found[section].items()}
    return {key: value for key, value in merged.items() if value}


def uv_environment(
    pairs: Mapping[str, str],
    environment: Mapping[str, str],
    uv_file_keys: frozenset[str],
    exists: Exists,
) -> dict[str, str]:
    """Variables that make uv look where pip looks, less those that the user has set for uv."""
    wanted = {
        variable: _in_uv_words(key, pairs[key], exists)
        for key, variable in _UV_SAME_MEANING.items()
        if key in pairs
    }
    if wanted.get("UV_INDEX"):
        # pip takes the best version of all its indexes; uv by default stops at the first that
        # knows the name.
        wanted["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return {
        variable: value
        for variable, value in wanted.items()
        if value and not _is_said(variable, environment, uv_file_keys)
    }


def pip_environment(pairs: Mapping[str, str], exists: Exists) -> dict[str, str]:
    """Variables that give any pip these settings, less the local places that do not exist.

    The pip of a new virtual environment does not read the configuration of the interpreter that
    made it, so it is told in full.
    """
    told = {
        f"PIP_{key.upper().replace('-', '_')}": _present(value, exists, separator=" ")
        if key in _LOCATIONS
        else value
        for key, value in pairs.items()
    }
    quiet = {"PIP_CONFIG_FILE": "/dev/null", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return told | quiet | {"PIP_NO_INPUT": "1"}


def local_path(location: str) -> Path | None:
    """The path that a find-links entry or an index names, None for a remote one."""
    if location.startswith("file:"):
        return Path(unquote(urlsplit(location).path))
    return None if "://" in location else Path(location).expanduser()


def _unquoted(text: str) -> str:
    try:
        return str(ast.literal_eval(text))
    except (SyntaxError, ValueError):
        return text.strip()


def _in_uv_words(key: str, value: str, exists: Exists) -> str:
    match key:
        case "find-links":
            return _present(value, exists, separator=",")
        case "index-url" | "extra-index-url":
            return _present(value, exists, separator=" ")
        case "no-index" | "no-cache-dir":
            return "1" if value.lower() in _YES else ""
        case "trusted-host":
            return " ".join(value.split())
        case _:
            return value


def _present(value: str, exists: Exists, *, separator: str) -> str:
    """The entries of a list, less the local ones that are absent: pip warns of those, uv stops."""
    paths = {entry: local_path(entry) for entry in value.split()}
    return separator.join(entry for entry, path in paths.items() if path is None or exists(path))


def _is_said(variable: str, environment: Mapping[str, str], uv_file_keys: frozenset[str]) -> bool:
    names = (variable, *_UV_RIVALS.get(variable, ()))
    keys = _UV_FILE_KEYS.get(variable, ())
    return any(environment.get(name) for name in names) or not uv_file_keys.isdisjoint(keys)
