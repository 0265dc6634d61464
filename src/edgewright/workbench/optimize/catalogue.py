"""The catalogue of targets: kinds of devices, what they have, which engine formats they run.

The packaged list is `targets.toml`; users add files of the same shape, and packages add them
through the entry-point group `edgewright.targets` (an entry point names a function that returns
the TOML bytes).

>>> catalogue = packaged_targets()
>>> find_target("rpi5", catalogue).architecture
'aarch64'
"""

from collections.abc import Iterable
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Literal

import msgspec

from edgewright import _fs
from edgewright.contract import Target, decode_toml
from edgewright.contract.decoding import suggestion
from edgewright.errors import InputError

GROUP = "edgewright.targets"
_LIMIT_BYTES = 1 << 20

PriceClass = Literal["below 20", "20 to 100", "100 to 300", "300 to 1000", "above 1000", ""]


class CatalogueTarget(Target, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A target with what recommending it needs: power and price as classes, because both depend on
    board, load and shop. `cores` and `ghz` describe the fastest core cluster.
    """

    summary: str
    cores: int = 1
    ghz: float = 0.0
    instructions: tuple[str, ...] = ()
    accelerator_tops: float = 0.0
    memory_kb: int = 0
    flash_kb: int = 0
    power_w: tuple[float, float] | None = None
    connectivity: tuple[str, ...] = ()
    price_usd: PriceClass = ""
    notes: str = ""

    def __post_init__(self) -> None:
        """Decoding adds the place in the file to what a ValueError says."""
        if not self.formats or not all(self.formats):
            raise ValueError(f"{self.name}: no engine format is named in formats")
        if self.memory_mb < 0 or self.memory_kb < 0 or not self.memory_bytes:
            raise ValueError(f"{self.name}: memory_mb or memory_kb must be more than 0")
        if self.cores < 1 or self.ghz < 0 or self.accelerator_tops < 0 or self.flash_kb < 0:
            raise ValueError(f"{self.name}: cores is 1 or more, no figure is below 0")
        if self.power_w is not None and not 0 <= self.power_w[0] <= self.power_w[1]:
            raise ValueError(f"{self.name}: power_w is [least, most] in watts")

    @property
    def memory_bytes(self) -> int:
        """Main memory; microcontrollers say it in kilobytes."""
        return self.memory_mb * 2**20 or self.memory_kb * 2**10

    @property
    def memory_text(self) -> str:
        """As people read it."""
        return f"{self.memory_mb} MB" if self.memory_mb else f"{self.memory_kb} kB"

    def rows(self) -> tuple[tuple[str, str], ...]:
        """Everything that is known, for a table."""
        power = "" if self.power_w is None else f"{self.power_w[0]:g} to {self.power_w[1]:g} W"
        return (
            ("device", self.summary),
            ("architecture", self.architecture),
            ("cpu", self.cpu),
            ("instructions", " ".join(self.instructions)),
            ("memory", self.memory_text),
            ("accelerator", self.accelerator),
            ("power", power),
            ("connectivity", ", ".join(self.connectivity)),
            ("formats", ", ".join(self.formats)),
            ("price, USD", self.price_usd),
            ("source", f"{self.source} (not compared line by line)"),
            ("notes", self.notes),
        )


class _TargetsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    targets: tuple[CatalogueTarget, ...]


def packaged_targets() -> tuple[CatalogueTarget, ...]:
    """The targets that edgewright knows by itself."""
    content = files("edgewright.workbench.optimize").joinpath("targets.toml").read_bytes()
    return parse_targets(content, source="targets.toml")


def all_targets(extra_files: Iterable[Path] = ()) -> tuple[CatalogueTarget, ...]:
    """Packaged targets, those of installed packages and those of files; later ones replace earlier
    ones of the same name.

    Raises:
        InputError: a file is absent or holds no targets.
    """
    found = {target.name: target for target in packaged_targets()}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        for target in parse_targets(point.load()(), source=point.value):
            found[target.name] = target
    for path in extra_files:
        content = _fs.read_limited(path, limit_bytes=_LIMIT_BYTES)
        for target in parse_targets(content, source=str(path)):
            found[target.name] = target
    return tuple(found.values())


def parse_targets(content: bytes, *, source: str) -> tuple[CatalogueTarget, ...]:
    """The targets of one TOML file: a list of `[[targets]]` tables."""
    return decode_toml(content, _TargetsFile, source=source).targets


def find_target(name: str, targets: Iterable[CatalogueTarget]) -> CatalogueTarget:
    """The target of a name.

    Raises:
        InputError: there is none; the message suggests one.
    """
    by_name = {target.name: target for target in targets}
    if name not in by_name:
        raise InputError(
            f"unknown target {name!r}", hint=f"{suggestion(name, list(by_name))} (targets list)"
        )
    return by_name[name]
