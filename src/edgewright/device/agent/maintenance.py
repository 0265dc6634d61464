"""When an update may begin to run here: the admin's windows, in this device's own time. Pure.

>>> from edgewright.wire.windows import parse_window
>>> nights = Maintenance(windows=(parse_window("22:00-05:00"),), timezone="Europe/Berlin")
>>> nights.why_closed(1_796_083_200.0)  # 2026-12-01 00:00 UTC, one o'clock in Berlin
''
>>> nights.why_closed(1_796_122_800.0)
'waits for a maintenance window: 22:00-05:00 (Europe/Berlin)'
>>> nights.why_closed(0.0)
'waits for a clock: this device shows 1970-01-01T00:00:00Z, so no maintenance window can be told'
"""

from typing import Literal

import msgspec

from edgewright.clock import BUILT_S, iso
from edgewright.wire.windows import Window, is_open

CLOCK_LASTS_S = 20 * 365.25 * 86400
"""A clock further ahead of this package is as wrong as one behind it."""


class Maintenance(msgspec.Struct, frozen=True, kw_only=True):
    """No windows: at any time. `without_clock` says what holds while the time cannot be known."""

    windows: tuple[Window, ...] = ()
    timezone: str = "UTC"
    without_clock: Literal["wait", "go"] = "wait"

    def why_closed(self, wall_s: float) -> str:
        """Why no update may begin to run now, "" when one may."""
        if not self.windows:
            return ""
        if not BUILT_S <= wall_s < BUILT_S + CLOCK_LASTS_S:
            if self.without_clock == "go":
                return ""
            return (
                f"waits for a clock: this device shows {iso(wall_s)}, so no maintenance window can "
                "be told"
            )
        if any(is_open(window, at_s=wall_s, timezone=self.timezone) for window in self.windows):
            return ""
        texts = ", ".join(window.text for window in self.windows)
        return f"waits for a maintenance window: {texts} ({self.timezone})"
