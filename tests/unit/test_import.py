"""What importing costs: nothing for the package, little for the help, no other place's packages."""

import json
import pkgutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

import edgewright

EDGEWRIGHT = Path(sys.executable).with_name("edgewright")
HELP_LIMIT_S = 0.2
RUNS = 7
ROUNDS = 4

WORKBENCH = {"torch", "onnx", "onnxscript", "pandas", "openvino"}
FLEET = {"litestar", "sqlalchemy", "sqlite3", "uvicorn"}
DEVICE_ROOMS = (
    "device",
    "validate",
    "runtimes",
    "transports",
    "stores",
    "keys",
    "measure",
    "bundle",
    "telemetry",
    "wire",
    "trust",
    "steps",
    "evidence",
    "contract",
)
AGENT_ROOMS = (
    "edgewright.bundle",
    "edgewright.contract",
    "edgewright.stores",
    "edgewright.telemetry",
    "edgewright.transports.http1",
    "edgewright.trust",
    "edgewright.wire",
    "edgewright._fs",
)


OWN_ENGINE = frozenset(
    f"edgewright.runtimes.{name}"
    for name in ("_executorch_child", "hailo", "litert", "openvino", "tensorrt")
)
"""Adapters that import the package of their engine; the first runs in a process of its own."""


def imported_by(modules: list[str]) -> set[str]:
    """Top-level packages that a fresh interpreter holds after importing some modules."""
    code = (
        "import importlib, json, sys\n"
        f"for name in {modules!r}:\n"
        "    try: importlib.import_module(name)\n"
        "    except ModuleNotFoundError as error:\n"  # of an extra that is not installed
        "        if error.name.startswith('edgewright'): raise\n"
        "print(json.dumps(sorted({n.partition('.')[0] for n, m in sys.modules.items() if m})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def modules_of(room: str) -> list[str]:
    """All modules of a room, read from its folder."""
    folder = Path(edgewright.__path__[0]).joinpath(*room.split("."))
    found = pkgutil.walk_packages([str(folder)], f"edgewright.{room}.")
    names = [f"edgewright.{room}", *(module.name for module in found)]
    return [name for name in names if name not in OWN_ENGINE]


def test_package_imports_nothing() -> None:
    foreign = imported_by(["edgewright"]) - imported_by([]) - sys.stdlib_module_names
    assert foreign == {"edgewright"}


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino", "nncf"])
def test_an_engine_neither_calls_home_nor_keeps_an_identity(engine: str, tmp_path: Path) -> None:
    """Each of them, with nothing said, leaves files in the home folder when it is imported."""
    pytest.importorskip(engine, reason=f"absent: {engine}")
    code = f"import edgewright, {engine}"
    subprocess.run([sys.executable, "-c", code], env={"HOME": str(tmp_path)}, check=True)
    assert list(tmp_path.iterdir()) == []


def test_help_imports_only_what_parses_it() -> None:
    loaded = imported_by(["edgewright.cli"])
    heavy = WORKBENCH | FLEET | {"numpy", "onnxruntime", "rich", "cryptography", "msgspec", "tuf"}
    assert loaded.isdisjoint(heavy)


@pytest.mark.alone
def test_help_answers_at_once() -> None:
    """The median of some runs; other load only adds, so the quietest round counts."""
    medians = []
    for _ in range(ROUNDS):
        medians.append(statistics.median(seconds_of_help() for _ in range(RUNS)))
        if medians[-1] < HELP_LIMIT_S:
            break
    assert min(medians) < HELP_LIMIT_S, medians


def seconds_of_help() -> float:
    start_s = time.perf_counter()
    subprocess.run([str(EDGEWRIGHT), "--help"], capture_output=True, check=True)
    return time.perf_counter() - start_s


@pytest.mark.parametrize("room", DEVICE_ROOMS)
def test_device_room_loads_no_package_of_another_place(room: str) -> None:
    assert imported_by(modules_of(room)).isdisjoint(WORKBENCH | FLEET)


def test_agent_loads_no_numpy() -> None:
    loaded = imported_by([*AGENT_ROOMS, *modules_of("device.agent")])
    assert loaded.isdisjoint({"numpy", "onnxruntime"} | WORKBENCH | FLEET)


def test_the_process_that_stays_on_a_device_holds_no_command_line_and_no_tokens() -> None:
    loaded = imported_by(["edgewright.chain.agent_run"])
    assert loaded.isdisjoint({"click", "rich", "numpy", "onnxruntime", "pkcs11", "boto3"})


@pytest.mark.parametrize("process", ["serving", "candidate_child", "probe_child"])
def test_processes_that_run_models_hold_no_agent(process: str) -> None:
    """Its trust and its certificates are a quarter of a second and ten megabytes."""
    loaded = imported_by([f"edgewright.chain.{process}"])
    assert loaded.isdisjoint({"cryptography", "tuf", "securesystemslib", "click"})
