"""What an order says beyond waves and limits: when, to how many, and what would end it."""

import msgspec

from edgewright.fleet.quality import Quality
from edgewright.fleet.release_report import ReleaseReport


class RolloutOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`window` is in each device's local time (`edgewright.wire.windows`). `share_percent` takes
    that share of the devices only, as a challenger beside the others. `report` must have found the
    release valid, else nothing starts.
    """

    window: str = ""
    share_percent: float | None = None
    quality: Quality = Quality()
    report: ReleaseReport | None = None

    def __post_init__(self) -> None:
        share = self.share_percent
        if share is not None and not 0 < share <= 100:
            raise ValueError(f"share_percent is {share:g}, expected above 0 and at most 100")
