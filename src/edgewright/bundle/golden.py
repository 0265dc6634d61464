"""Golden vectors: raw requests and the outputs that the contract promises for them.

They are made with the reference engine when the bundle is built and replayed by parity checks, by
the server before it calls itself ready, and by the agent's probe. Stored as one `.npz` without
pickles.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from numpy.typing import NDArray

from edgewright._npz import decode_npz, encode_npz
from edgewright.contract import Contract
from edgewright.errors import InputError

_IN = "in:"
_OUT = "out:"


class Golden(msgspec.Struct, frozen=True, kw_only=True):
    """Requests and answers: one array per contract input and output, rows belong together."""

    inputs: Mapping[str, NDArray[Any]]
    outputs: Mapping[str, NDArray[Any]]


def encode_golden(golden: Golden) -> bytes:
    """One deterministic `.npz`."""
    arrays = {f"{_IN}{name}": array for name, array in golden.inputs.items()}
    return encode_npz(arrays | {f"{_OUT}{name}": array for name, array in golden.outputs.items()})


def decode_golden(content: bytes) -> Golden:
    """The golden vectors of a bundle.

    Raises:
        InputError: not such a file.
    """
    loaded = decode_npz(content, source="golden vectors")
    inputs = {name.removeprefix(_IN): a for name, a in loaded.items() if name.startswith(_IN)}
    outputs = {name.removeprefix(_OUT): a for name, a in loaded.items() if name.startswith(_OUT)}
    if not inputs or not outputs or len(inputs) + len(outputs) != len(loaded):
        raise InputError(
            f"golden vectors: arrays {sorted(loaded)}; expected 'in:NAME' and 'out:NAME' only"
        )
    return Golden(inputs=inputs, outputs=outputs)


def check_golden(golden: Golden, contract: Contract) -> None:
    """Refuse golden vectors that do not speak of this contract's tensors."""
    for kind, have, want in (
        ("inputs", golden.inputs, contract.inputs),
        ("outputs", golden.outputs, contract.outputs),
    ):
        names = {tensor.name for tensor in want}
        if set(have) != names:
            raise InputError(
                f"golden vectors have {kind} {sorted(have)}, the contract has {sorted(names)}",
                hint="make them again with this contract",
            )
