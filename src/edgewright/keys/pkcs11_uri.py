"""Keys in tokens have names: `pkcs11:` URIs (RFC 7512), as `p11tool` and OpenSSL print them.

>>> uri = Pkcs11Uri.parsed("pkcs11:token=KEEPERS;object=alice?module-path=/usr/lib/p11.so")
>>> uri.token, uri.object, uri.module_path
('KEEPERS', 'alice', '/usr/lib/p11.so')
>>> uri.text
'pkcs11:token=KEEPERS;object=alice'
"""

from collections.abc import Mapping
from urllib.parse import quote, unquote_to_bytes

import msgspec

from edgewright.errors import InputError

SCHEME = "pkcs11:"

_TOKEN_FIELDS = {
    "token": "token",
    "serial": "serial",
    "manufacturer": "manufacturer",
    "model": "model",
}
_KEY_FIELDS = {"object": "object", "id": "id"}
_QUERY_FIELDS = {"module-path": "module_path", "pin-source": "pin_source"}
_HINT = "write pkcs11:token=LABEL;object=LABEL?module-path=/path/to/library.so"


class Pkcs11Uri(msgspec.Struct, frozen=True, kw_only=True):
    """Which key of which token, by which library; what is empty was not said."""

    token: str = ""
    serial: str = ""
    manufacturer: str = ""
    model: str = ""
    object: str = ""
    id: bytes = b""
    module_path: str = ""
    pin_source: str = ""

    @classmethod
    def parsed(cls, text: str) -> "Pkcs11Uri":
        """The parts of a URI.

        Raises:
            InputError: it is no such URI, holds a PIN, or names no token or no key.
        """
        if not is_pkcs11(text):
            raise InputError("a key in a token is named by a pkcs11: URI", hint=_HINT)
        path, _, query = text.removeprefix(SCHEME).partition("?")
        parts = _pairs(path, ";", {**_TOKEN_FIELDS, **_KEY_FIELDS, "type": "type"})
        if parts.pop("type", b"private") != b"private":
            raise InputError("a pkcs11: URI here means a private key", hint="leave out type=")
        parts |= _pairs(query, "&", _QUERY_FIELDS)
        key_id = parts.pop("id", b"")
        try:
            uri = cls(id=key_id, **{name: part.decode() for name, part in parts.items()})
        except UnicodeDecodeError as error:
            raise InputError("a pkcs11: URI holds text that is no UTF-8", hint=_HINT) from error
        uri._require_whole()
        return uri

    @property
    def text(self) -> str:
        """The URI without what is said for this machine only, for messages."""
        parts = [
            f"{name}={quote(getattr(self, field), safe='')}"
            for name, field in (*_TOKEN_FIELDS.items(), ("object", "object"))
            if getattr(self, field)
        ]
        if self.id:
            parts.append("id=" + "".join(f"%{byte:02x}" for byte in self.id))
        return SCHEME + ";".join(parts)

    def _require_whole(self) -> None:
        if not (self.token or self.serial):
            raise InputError("a pkcs11: URI without token= or serial= names no token", hint=_HINT)
        if not (self.object or self.id):
            raise InputError("a pkcs11: URI without object= or id= names no key", hint=_HINT)


def is_pkcs11(name: str) -> bool:
    """Whether a key's name is a URI of a token rather than a file's path."""
    return name.startswith(SCHEME)


def _pairs(text: str, separator: str, known: Mapping[str, str]) -> dict[str, bytes]:
    """What a part of the URI says, by our names; nothing of a PIN is ever repeated."""
    found: dict[str, bytes] = {}
    for pair in filter(None, text.split(separator)):
        name, equals, value = pair.partition("=")
        if name == "pin-value":
            raise InputError(
                "a PIN does not belong in a pkcs11: URI, where others see it",
                hint="leave it out: it is asked for, or give --password-file or pin-source=FILE",
            )
        if name not in known or not equals:
            raise InputError(
                f"a pkcs11: URI here has no part {name!r}", hint=f"known: {', '.join(known)}"
            )
        if known[name] in found:
            raise InputError(f"a pkcs11: URI says {name} twice", hint=_HINT)
        found[known[name]] = unquote_to_bytes(value)
    return found
