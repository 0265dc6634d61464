"""A Python of its own for a tool that tests compare with and that cannot share our environment."""

import subprocess
import sys
from pathlib import Path

import pytest


def python_with(folder: Path, *packages: str) -> Path:
    """Its interpreter, with these packages."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    uv = Path(sys.executable).with_name("uv")
    done = subprocess.run(
        [str(uv), "pip", "install", "-q", "--python", str(python), *packages],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"absent: {packages[0]} (needs a package index)")
    return python
