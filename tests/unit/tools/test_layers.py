"""Each import rule of pyproject.toml bites: one planted import breaks it, and nothing else does."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

TIMEOUT_S = 60

PLANTED = [
    ("rooms", "contract/planted.py", "import edgewright.chain"),
    ("rooms", "fleet/planted.py", "import edgewright.device"),
    ("rooms", "stray/__init__.py", ""),
    ("workbench", "workbench/data/planted.py", "import edgewright.workbench.train"),
    ("device-install", "device/planted.py", "import torch"),
    ("device-install", "runtimes/planted.py", "import pandas"),
    ("pure", "trust/planted.py", "import os"),
    ("pure", "device/agent/machine.py", "import edgewright.clock"),
    ("backends", "device/planted.py", "import edgewright.runtimes.fast"),
    ("fakes", "fleet/planted.py", "import edgewright.testing"),
]


def linter_section(pyproject: Path) -> str:
    """The real rules, word for word."""
    text = pyproject.read_text(encoding="utf-8")
    return text[text.index("[tool.importlinter]") :]


def packages(pyproject: Path) -> list[str]:
    """Every room that the rules name, as folders."""
    contracts = tomllib.loads(linter_section(pyproject))["tool"]["importlinter"]["contracts"]
    layered = [contract for contract in contracts if contract["type"] == "layers"]
    return [
        "/".join([*contract["containers"][0].split(".")[1:], name.strip(" ()")])
        for contract in layered
        for layer in contract["layers"]
        for name in layer.split("|")
    ]


@pytest.fixture
def tree(tmp_path: Path, project_root: Path) -> Path:
    """A package with every room and nothing in them but the files that the rules name."""
    pyproject = project_root / "pyproject.toml"
    (tmp_path / "pyproject.toml").write_text(linter_section(pyproject), encoding="utf-8")
    root = tmp_path / "edgewright"
    for name in ("testing", "device/agent", "fleet/notify", *packages(pyproject)):
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
    for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        (folder / "__init__.py").touch()
    (root / "clock/__init__.py").write_text("import time\n", encoding="utf-8")
    rules = ("alerts", "quality", "rollout", "rollout_terms", "waves")
    for name in (
        "device/agent/machine.py",
        *(f"fleet/{rule}.py" for rule in rules),
        "fleet/notify/alarms.py",
        "runtimes/base.py",
    ):
        (root / name).touch()
    for name in ("runtimes/model.py", "runtimes/fast.py"):
        (root / name).touch()
    return tmp_path


def lint(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", *arguments],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def test_clean_tree_keeps_every_rule(tree: Path) -> None:
    done = lint(tree)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(("rule", "file", "line"), PLANTED)
def test_rule_breaks_when_an_import_is_planted(tree: Path, rule: str, file: str, line: str) -> None:
    planted = tree / "edgewright" / file
    planted.parent.mkdir(exist_ok=True)
    planted.write_text(f"{line}\n", encoding="utf-8")
    done = lint(tree, "--contract", rule)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "0 kept, 1 broken" in done.stdout


def test_every_rule_has_a_planted_import(project_root: Path) -> None:
    contracts = tomllib.loads(linter_section(project_root / "pyproject.toml"))["tool"][
        "importlinter"
    ]["contracts"]
    assert {contract["id"] for contract in contracts} == {rule for rule, _, _ in PLANTED}
