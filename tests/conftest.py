"""Fixtures that every test may use, and the rule that CI skips nothing for lack of a part."""

import importlib
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
ABSENT = "absent:"
"""How the reason of a skip begins when something that can be installed is not here."""

Item = TypeVar("Item")

# Shared two-core machines pause a test for longer than any deadline per example.
settings.register_profile("edgewright", deadline=None, print_blob=True)
settings.load_profile("edgewright")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Where CI promised all parts (EDGEWRIGHT_CI=1), a skip for an absent one is a failure."""
    report = yield
    reason = _skip_reason(report)
    if os.environ.get("EDGEWRIGHT_CI") == "1" and reason.startswith(ABSENT):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: {reason}; CI installs all parts, see .ci/run"
    return report


def _skip_reason(report: pytest.TestReport) -> str:
    if not report.skipped or hasattr(report, "wasxfail"):
        return ""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The folder with pyproject.toml."""
    return ROOT


@pytest.fixture(scope="session")
def bench_script(project_root: Path) -> Iterator[Callable[[str], ModuleType]]:
    """Imports a script of `bench/` by its name. Its neighbours, and processes that it starts later,
    find it too, so the folder stays on the path: at its end, where it hides nothing.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(project_root / "bench")])
        yield importlib.import_module


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data sets and models that lie beside a clone; not part of the project."""
    named = os.environ.get("EDGEWRIGHT_SHARED")
    places = [Path(named)] if named else [ROOT / "shared", ROOT.parent / "shared"]
    for place in places:
        if (place / "data").is_dir():
            return place / "data"
    pytest.skip("no shared data beside this clone")


class Slice:
    """The part of a long harness that this commit runs, the same on every machine."""

    def __init__(self, text: str) -> None:
        self._text = text

    def pick(self, items: Sequence[Item], count: int, *, salt: str = "") -> list[Item]:
        """Some of the items, in their order; other commits pick others."""
        chance = random.Random(f"{self._text}/{salt}")
        chosen = chance.sample(range(len(items)), min(count, len(items)))
        return [items[index] for index in sorted(chosen)]

    def seed(self, *, salt: str = "") -> int:
        return random.Random(f"{self._text}/{salt}").getrandbits(32)


@pytest.fixture
def long_slice(request: pytest.FixtureRequest) -> Slice:
    """What a `long` test takes its cases from; salted with the test's own name."""
    return Slice(f"{os.environ.get('EDGEWRIGHT_SLICE', '')}/{request.node.nodeid}")


def pytest_configure() -> None:
    """Let Ctrl-C reach the commands that tests start, also where a shell started us in the
    background: there SIGINT is ignored, and children inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
