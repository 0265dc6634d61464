"""What the fleet is told of a probe: its verdict, with the figures it stands on, small."""

from edgewright.device.agent.tools import Tools
from edgewright.telemetry import ProbeReport, Record, ValidationRecord
from edgewright.telemetry.records import FIGURES_LIMIT, LINE_LIMIT


def tell_validation(
    tools: Tools, model: str, bundle_id: str, report: ProbeReport, *, version: str = ""
) -> None:
    """Have it told when there is a verdict: a probe that was cut off, or runs no model, has none.

    It goes before the step that it leads to; a cut between the two has it told twice, and the
    fleet goes by the newest.

    Raises:
        ResourceError: the outbox cannot be written.
    """
    outcome = report.outcome
    if not outcome:
        return
    at_s = tools.clock.wall_s()

    def make(device: str, sequence: int) -> Record:
        return ValidationRecord(
            device=device,
            sequence=sequence,
            at_s=at_s,
            model=model,
            bundle=bundle_id,
            version=version,
            outcome=outcome,
            reason=report.reason[:LINE_LIMIT],
            how=report.how[:LINE_LIMIT],
            where=report.where[:LINE_LIMIT],
            figures=report.figures[:FIGURES_LIMIT],
        )

    tools.tell(make)
