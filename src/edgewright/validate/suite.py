r"""The suite file: everything that a validation can be told, as one text that a person keeps beside
the model. `edgewright validate --suite suite.toml` reads it; an option of the command line counts
more than the same thing in the file. Paths are relative to the file.

    >>> suite = decode_suite(b'[limits]\np95_ms = 50\n[[scenarios]]\nname = "offline"')
    >>> suite.limits.p95_ms, [scene.name for scene in suite.scenarios]
    (50.0, ['offline'])
    >>> decode_suite(b'[limits]\np95 = 50')
    Traceback (most recent call last):
    ...
    edgewright.errors.InputError: the suite: unknown key 'limits.p95'; did you mean 'p95_ms'?
    >>> decode_suite(b'[limits]\np95_ms = -1')
    Traceback (most recent call last):
    ...
    edgewright.errors.InputError: the suite: p95_ms is -1, expected above 0 at 'limits'
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from edgewright.contract.decoding import decode_json, decode_toml, suggestion
from edgewright.validate.order import SCENARIO_NAMES

WIRES = ("json", "binary", "grpc")

_INFINITE = float("inf")


def _check(
    part: msgspec.Struct,
    name: str,
    *,
    above: float | None = None,
    least: float | None = None,
    most: float = _INFINITE,
) -> None:
    value = getattr(part, name)
    low = above if above is not None else least
    if value is None or low is None:
        return
    is_high_enough = value > low if above is not None else value >= low
    if is_high_enough and value <= most and value < _INFINITE:
        return
    expected = f"above {low:g}" if above is not None else f"{low:g} or more"
    if most < _INFINITE:
        expected = f"{low:g} to {most:g}" if low != most else f"{low:g}"
    raise ValueError(f"{name} is {value:g}, expected {expected}")


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file."""


class Limits(_Part, frozen=True, kw_only=True):
    """What is held against the figures, beside the contract's budgets: latency, memory, the least
    accuracy in percent, the most points of it below the reference.
    """

    p95_ms: float | None = None
    memory_mb: float | None = None
    min_accuracy: float | None = None
    max_drop: float | None = None

    def __post_init__(self) -> None:
        _check(self, "p95_ms", above=0)
        _check(self, "memory_mb", above=0)
        _check(self, "min_accuracy", least=0, most=100)
        _check(self, "max_drop", least=0)


class Truth(_Part, frozen=True, kw_only=True):
    """Which answers are right: vectors, the bundle that a server at a URL should serve, labelled
    rows and the output that names the class, a model to compare with.
    """

    golden: str = ""
    bundle: str = ""
    labelled: str = ""
    label_output: str = ""
    reference: str = ""


class Load(_Part, frozen=True, kw_only=True):
    """How load is put on; what is absent is the scenario's own."""

    rps: float | None = None
    seconds: float | None = None
    connections: int | None = None
    early_stop: bool | None = None
    recording: str = ""
    speed: float | None = None
    loadgen_logs: str = ""

    def __post_init__(self) -> None:
        _check(self, "rps", above=0)
        _check(self, "seconds", least=0.1)
        _check(self, "connections", least=1)
        _check(self, "speed", above=0)


class Scene(Load, frozen=True, kw_only=True):
    """One scenario of a suite: its name, and what differs from `[load]` and `[limits]`."""

    name: str
    p95_ms: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self, "p95_ms", above=0)
        if self.name not in SCENARIO_NAMES:
            hint = suggestion(self.name, list(SCENARIO_NAMES))
            raise ValueError(f"there is no scenario {self.name!r}; {hint}")


class Server(_Part, frozen=True, kw_only=True):
    """An administrator's socket of a server that runs already, and a second version to swap to."""

    admin: str = ""
    swap_to: str = ""


class Machine(_Part, frozen=True, kw_only=True):
    """How another machine is entered, and where its agent's home and its program are."""

    identities: tuple[str, ...] = ()
    known_hosts: str = ""
    ssh_config: str = ""
    agent_home: str = ""
    edgewright: str = ""


class Reports(_Part, frozen=True, kw_only=True):
    """Files that the report is written to; `edge_json` in the earlier keys."""

    html: str = ""
    junit: str = ""
    out: str = ""
    edge_json: str = ""


class Suite(_Part, frozen=True, kw_only=True):
    """A whole file. Without `scenarios` the command line chooses."""

    schema_version: int = 1
    target: str = ""
    model: str = ""
    wire: str = ""
    attempts: int = 3
    seed: int = 0
    limits: Limits = Limits()
    truth: Truth = Truth()
    load: Load = Load()
    scenarios: tuple[Scene, ...] = ()
    server: Server = Server()
    machine: Machine = Machine()
    reports: Reports = Reports()

    def __post_init__(self) -> None:
        _check(self, "schema_version", least=1, most=1)
        _check(self, "attempts", least=1)
        if self.wire and self.wire not in WIRES:
            raise ValueError(f"wire is {self.wire!r}, expected {', '.join(WIRES)}")

    def load_of(self, scene: Scene) -> Load:
        """The load of a scenario: its own values, else those of `[load]`."""
        names = [field.name for field in msgspec.structs.fields(Load)]
        own = {name: getattr(scene, name) for name in names}
        return Load(
            **{
                name: getattr(self.load, name) if value in (None, "") else value
                for name, value in own.items()
            }
        )

    def with_paths(self, change: Callable[[str], str]) -> "Suite":
        """The same with every path of a file changed; what is empty stays so."""

        def moved(part: Any, *names: str) -> Any:
            new = {name: change(text) for name in names if (text := getattr(part, name))}
            return msgspec.structs.replace(part, **new)

        return msgspec.structs.replace(
            self,
            truth=moved(self.truth, "golden", "bundle", "labelled"),
            load=moved(self.load, "recording", "loadgen_logs"),
            scenarios=tuple(moved(one, "recording", "loadgen_logs") for one in self.scenarios),
            server=moved(self.server, "admin", "swap_to"),
            machine=msgspec.structs.replace(
                moved(self.machine, "known_hosts", "ssh_config"),
                identities=tuple(map(change, self.machine.identities)),
            ),
            reports=moved(self.reports, "html", "junit", "out", "edge_json"),
        )


def decode_suite(content: bytes, *, source: str = "the suite", is_json: bool = False) -> Suite:
    """A suite from TOML, or the same in JSON.

    Raises:
        InputError: not TOML or JSON, an unknown key, or a value of the wrong kind or size.
    """
    decode = decode_json if is_json else decode_toml
    return decode(content, Suite, source=source)


def placed(suite: Suite, folder: Path) -> Suite:
    """The same with its paths as they are meant: relative to the folder of the file. A target or
    reference that is neither a URL nor a machine is a path too.
    """

    def from_folder(text: str) -> str:
        return str(folder / Path(text).expanduser())

    def thing(text: str) -> str:
        is_place = "://" in text or text.startswith(("unix:", "device:"))
        return text if is_place or not text else from_folder(text)

    found = suite.with_paths(from_folder)
    return msgspec.structs.replace(
        found,
        target=thing(found.target),
        truth=msgspec.structs.replace(found.truth, reference=thing(found.truth.reference)),
    )
