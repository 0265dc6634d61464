"""The part in C (`native/` in the repository, installed on its own): what every request passes, at
less cost. Without it the same is done in Python, which is the reference for both.

`EDGEWRIGHT_HOT_PATH=python` leaves an installed one out, `native` insists on it.
"""

import importlib
import logging
import os
from typing import Any

from edgewright.errors import UnavailableError

logger = logging.getLogger(__name__)

VARIABLE = "EDGEWRIGHT_HOT_PATH"
SEAM = 1
"""What both sides agreed on; it grows when the classes of one of them change their meaning."""


def find_part(wanted: str) -> Any:
    """The part in C, or None where it is absent or not wanted.

    Raises:
        UnavailableError: it is insisted on and absent, or was made for another version.
    """
    if wanted not in ("", "native", "python"):
        raise UnavailableError(
            f"{VARIABLE} is {wanted!r}, expected native or python",
            hint="leave it out to take what is installed",
        )
    if wanted == "python":
        return None
    try:
        part: Any = importlib.import_module("edgewright_native")
    except ImportError as error:
        if wanted == "native":
            raise UnavailableError(
                f"{VARIABLE} is native, but the part in C cannot be imported: {error}",
                hint="install it: pip install ./native",
            ) from error
        return None
    if part.SEAM == SEAM:
        return part
    what = f"the part in C has seam {part.SEAM}, expected {SEAM}"
    hint = "install the one that belongs to this version: pip install ./native"
    if wanted == "native":
        raise UnavailableError(f"{VARIABLE} is native, but {what}", hint=hint)
    logger.warning("hot path in Python: %s; %s", what, hint)
    return None


part: Any = find_part(os.environ.get(VARIABLE, ""))


def name() -> str:
    """Which one is at work."""
    return "python" if part is None else "native"
