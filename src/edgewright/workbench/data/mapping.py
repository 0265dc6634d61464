"""How the columns of somebody's file become channels, labels, subjects and recordings."""

from typing import Literal

import msgspec

TIME_UNITS_S = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


class ChannelMapping(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One channel: the column it comes from, its unit there, and -1 where the axis points the
    other way.

    Swapped axes are mended by naming the other column.
    """

    column: str
    name: str = ""
    unit: str = ""
    sign: Literal[1, -1] = 1


class SourceMapping(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What is where in a source. A default holds for files that already use our words.

    `labels` maps the label as the file writes it to a name of ours; `label_names` fixes the order
    (and with it the class positions). `subject_is` stands in for a subject column in a file of one
    person. `max_gap_s` is the longest hole that is interpolated; a longer one splits the recording.
    """

    channels: tuple[ChannelMapping, ...] = ()
    samples: str = "X"
    label: str = "label"
    subject: str = "subject"
    subject_is: str = ""
    recording: str = "recording"
    time: str = ""
    time_unit: Literal["s", "ms", "us", "ns"] = "s"
    rate_hz: float | None = None
    max_gap_s: float = 0.25
    labels: dict[str, str] = {}
    label_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.rate_hz is not None and not self.rate_hz > 0:
            raise ValueError(f"rate_hz is {self.rate_hz:g}, expected above 0")
        if not self.max_gap_s > 0:
            raise ValueError(f"max_gap_s is {self.max_gap_s:g}, expected above 0")
