"""Becoming the agent's own process. Imports nothing of the agent, so that a command that becomes it
does not load it first.
"""

import os
import sys
from pathlib import Path
from typing import NoReturn

VERBOSE = "--verbose"


def become_agent(home: Path, *, verbose: bool) -> NoReturn:
    """Let this process go on as the agent of a home; its number stays. No module is taken from the
    folder that it was started in.
    """
    flags = [VERBOSE] if verbose else []
    command = [sys.executable, "-P", "-m", "edgewright.chain.agent_run", *flags, str(home)]
    os.execv(sys.executable, command)  # noqa: S606 - this program again
