"""A converter's program, run in a folder for so long and no longer."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgewright.errors import InputError


def run_tool(
    command: Sequence[str],
    folder: Path,
    *,
    timeout_s: float,
    name: str = "",
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Its exit code and what it said; `name` is what people call it.

    Raises:
        InputError: it took longer than `timeout_s`.
    """
    try:
        return subprocess.run(
            list(command),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"{name or command[0]} took more than {timeout_s:g} s", hint="try a smaller model"
        ) from error
