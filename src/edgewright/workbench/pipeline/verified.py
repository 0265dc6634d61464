"""What both kinds of verify stage leave: a row for each file, and an error when one diverges."""

from collections.abc import Sequence

import msgspec

from edgewright._fs import write_atomic
from edgewright.contract import encode_json
from edgewright.errors import GateError
from edgewright.workbench.pipeline.stage import Workshop
from edgewright.workbench.verify import LOSSY, ParityOrder, ParityReport

GOLDEN_ROWS = 256
VERIFY_OUTPUT = "verify.json"


class VerifiedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One engine file and what the comparison said."""

    file: str
    precision: str
    parity: ParityReport


def lossy_order(max_drop: float) -> ParityOrder:
    """A lossy variant keeps what the search measured; parity guards against a broken file."""
    tolerances = msgspec.structs.replace(LOSSY, metric_drop_points=max(max_drop, 0.5))
    return ParityOrder(tolerances=tolerances, edges_count=False)


def keep_verified(workshop: Workshop, files: Sequence[VerifiedFile]) -> None:
    """Write the report.

    Raises:
        GateError: a file diverges.
    """
    write_atomic(workshop.folder / VERIFY_OUTPUT, encode_json({"files": files}))
    for one in files:
        if not one.parity.ok:
            raise GateError(
                f"parity of {one.file}: {one.parity.reasons[0]}; checks missed",
                measured=len(one.parity.reasons),
                limit=0,
                hint="see `edgewright verify` for the first diverging node",
            )
