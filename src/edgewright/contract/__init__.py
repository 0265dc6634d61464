"""The facts a model needs, as frozen values that travel with it from training to the device.

Values only: no array, no file, no clock. Whatever enters is checked once, in `decode_toml`,
`decode_json` or a constructor; after that no code checks again. `edgewright.steps` executes the
steps declared here.

    >>> contract = Contract(
    ...     inputs=(Tensor(name="x", dtype="float32", shape=("batch", 100, 6)),),
    ...     outputs=(Tensor(name="logits", dtype="float32", shape=("batch", 7)),),
    ... )
    >>> contract.input("x").shape
    ('batch', 100, 6)
"""

from edgewright.contract.decoding import decode_json, decode_toml, encode_json
from edgewright.contract.evidence import Evidence
from edgewright.contract.model import Budgets, Contract, Provenance, Tolerances
from edgewright.contract.steps import (
    Argmax,
    ChannelOrder,
    Crop,
    Labels,
    Mask,
    Nms,
    Normalise,
    Resample,
    Resize,
    Softmax,
    Step,
    Threshold,
    Window,
)
from edgewright.contract.targets import Target
from edgewright.contract.tensors import Channel, DType, Tensor

__all__ = [
    "Argmax",
    "Budgets",
    "Channel",
    "ChannelOrder",
    "Contract",
    "Crop",
    "DType",
    "Evidence",
    "Labels",
    "Mask",
    "Nms",
    "Normalise",
    "Provenance",
    "Resample",
    "Resize",
    "Softmax",
    "Step",
    "Target",
    "Tensor",
    "Threshold",
    "Tolerances",
    "Window",
    "decode_json",
    "decode_toml",
    "encode_json",
]
