"""JSON files that another tool wrote, of which a few keys matter here."""

from pathlib import Path
from typing import Any

from edgewright._fs import read_limited
from edgewright.contract import decode_json

_LIMIT_BYTES = 4 << 20


def read_json(path: Path) -> dict[str, Any]:
    """The object of a file; empty when the file is absent.

    Raises:
        InputError: not a JSON object.
    """
    if not path.is_file():
        return {}
    content = read_limited(path, limit_bytes=_LIMIT_BYTES)
    return decode_json(content, dict[str, Any], source=str(path))
