"""One of several processes that try options: `python -m edgewright.chain.tune_child ORDER`."""

import ctypes
import signal
import sys

from edgewright.chain.tuning import TuneOrder, work
from edgewright.contract import decode_json
from edgewright.errors import EdgewrightError

_PR_SET_PDEATHSIG = 1


def main(text: str) -> int:
    """Do a share of a study; returns the exit code."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    order = decode_json(text.encode(), TuneOrder, source="the order")
    try:
        work(order, tell=lambda *_: None)
    except EdgewrightError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
