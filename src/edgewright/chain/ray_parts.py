"""How the files of this room that import Ray are reached: Ray reads its switches while it is
imported, and may not be installed.
"""

import importlib
import os
from types import ModuleType

from edgewright.errors import UnavailableError

_SWITCHES = {
    # Under `uv run` Ray would send the whole working folder to workers that have the package.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # It works offline and reports to nobody.
    "RAY_USAGE_STATS_ENABLED": "0",
    # Workers that took longer to import torch would be ended and started again without end.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "600",
    # Ctrl-C ends a search, and is not its success.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}


def ray_part(name: str) -> ModuleType:
    """One of `edgewright.chain`'s files that import Ray. Switches that are set already stay.

    Raises:
        UnavailableError: Ray is not installed.
    """
    for switch, value in _SWITCHES.items():
        os.environ.setdefault(switch, value)
    try:
        return importlib.import_module(f"edgewright.chain.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "ray":
            raise
        raise UnavailableError(
            "--engine ray needs Ray, which is not installed",
            hint="pip install 'edgewright[ray]', or leave --engine out",
        ) from error
