"""The guide's recipe, from a throwaway package, through the command line to a trained run."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

METADATA = "Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n"


def guide(project_root: Path) -> str:
    """The code of the guide's Python block."""
    text = (project_root / "docs" / "recipes.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return code


def test_the_guide_keeps_its_promise_of_30_lines(project_root: Path) -> None:
    lines = [line for line in guide(project_root).splitlines() if line.strip()]
    assert len(lines) <= 30


@pytest.mark.timeout(400)
def test_a_recipe_of_another_package_is_found_and_trained(
    tmp_path: Path, project_root: Path
) -> None:
    site = tmp_path / "site"
    info = site / "my_package-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "my_package.py").write_text(guide(project_root))
    (info / "METADATA").write_text(METADATA)
    text = (project_root / "docs" / "recipes.md").read_text()
    (entry,) = re.findall(r'```toml\n\[project\.entry-points\.(".*?)```', text, re.DOTALL)
    group, line = re.fullmatch(r'"(.*?)"\]\n(.*)\n', entry).groups()  # type: ignore[union-attr]
    (info / "entry_points.txt").write_text(f"[{group}]\n{line.replace(chr(34), '')}\n")

    rng = np.random.default_rng(0)
    fault = rng.integers(0, 2, 240)
    spectrum = rng.normal(size=(240, 12)) + 2 * fault[:, None] * (np.arange(12) < 3)
    machine = np.arange(240) % 12
    np.savez(tmp_path / "v.npz", spectrum=spectrum, fault=fault, machine=machine)
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "edgewright", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("init", "p", "--recipe", "bearings", "--data", "v.npz")
    quick = ("--set", "train.averaging=0.0", "--set", "train.lr=0.02")
    found = json.loads(run("run", "--project", "p", "--to", "train", *quick, "--json"))
    facts = {stage["stage"]: stage["facts"] for stage in found["stages"]}
    assert facts["train"]["test_accuracy"] > 0.7
