"""A contract from a file: TOML as people write it, JSON as `convert` leaves it beside its files."""

from pathlib import Path

from edgewright._fs import read_limited
from edgewright.contract import Contract, decode_json, decode_toml

CONTRACT_LIMIT_BYTES = 4 << 20


def read_contract(path: Path) -> Contract:
    """The contract.

    Raises:
        InputError: absent, or no contract.
    """
    content = read_limited(path, limit_bytes=CONTRACT_LIMIT_BYTES)
    decode = decode_json if path.suffix == ".json" else decode_toml
    return decode(content, Contract, source=str(path))
