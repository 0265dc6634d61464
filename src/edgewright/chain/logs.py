"""Where the messages of a process of ours go."""

import logging
import sys


def log_to_stderr(*, verbose: bool) -> None:
    """Warnings, and with `verbose` every change of state; of other libraries one step less."""
    logging.basicConfig(
        level=logging.WARNING if verbose else logging.ERROR,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("edgewright").setLevel(logging.INFO if verbose else logging.WARNING)
