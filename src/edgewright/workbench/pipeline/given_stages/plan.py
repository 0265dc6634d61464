"""What the stages around a given model share."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edgewright._fs import read_limited
from edgewright.clock import Clock, iso
from edgewright.contract import Contract, decode_toml
from edgewright.contract.decoding import convert
from edgewright.errors import InputError
from edgewright.runtimes import Runtime
from edgewright.trust import Signer
from edgewright.workbench.given import GivenSamples, fit_samples, read_arrays
from edgewright.workbench.pipeline.project import Project

GIVEN = "onnx"
"""The recipe's name in a project file."""

_CONTRACT_LIMIT_BYTES = 1 << 20
_ENGINE_BY_SUFFIX = {".onnx": "onnx", ".tflite": "litert"}


class GivenOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[recipe]` of such a project: the engine file, the samples, the contract; relative to it."""

    model: str
    data: str = ""
    contract: str = "contract.toml"


def given_options(raw: dict[str, Any], *, source: str) -> GivenOptions:
    """The options from a project file."""
    return convert(raw, GivenOptions, source=source)


@dataclass(frozen=True, kw_only=True)
class GivenPlan:
    """One project about to be walked."""

    folder: Path
    project: Project
    options: GivenOptions
    engine: Callable[[str], Runtime]
    signer: Callable[[Path], Signer]
    command: str
    clock: Clock

    @property
    def store(self) -> Path:
        """Where finished stages lie."""
        return self.folder / ".edgewright"

    @property
    def model(self) -> Path:
        """The engine file."""
        return self.folder / self.options.model

    @property
    def format(self) -> str:
        """Its format word."""
        kind = _ENGINE_BY_SUFFIX.get(self.model.suffix)
        if kind is None:
            raise InputError(
                f"[recipe] model = {self.options.model!r}: expected an .onnx or .tflite file",
                hint="run `edgewright init --recipe onnx --model FILE` with any other kind",
            )
        return kind

    @property
    def is_onnx(self) -> bool:
        """Whether variants can be searched for."""
        return self.format == "onnx"

    @property
    def data(self) -> Path:
        """The file with sample inputs.

        Raises:
            InputError: the project names none.
        """
        if not self.options.data:
            raise InputError(
                f"{self.folder / 'edgewright.toml'}: [recipe] names no data",
                hint='add data = "samples.npz": one array per model input, a few real samples',
            )
        return self.folder / self.options.data

    @property
    def contract_path(self) -> Path:
        """The contract that a person may have edited."""
        return self.folder / self.options.contract

    def now(self) -> str:
        """The time that evidence carries."""
        return iso(self.clock.wall_s())

    def contract(self) -> Contract:
        """What the model promises."""
        content = read_limited(self.contract_path, limit_bytes=_CONTRACT_LIMIT_BYTES)
        return decode_toml(content, Contract, source=str(self.contract_path))

    def samples(self) -> GivenSamples:
        """The samples, fitted to the contract."""
        return fit_samples(read_arrays(self.data), self.contract(), source=str(self.data))
