"""How the columns of somebody's file become channels, labels, subjects and recordings."""

import re
from typing import Literal

import msgspec

from edgewright.errors import InputError

TIME_UNITS_S = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "iso": 1.0}
"""Seconds in one unit of a clock; "iso" is a date and time as text (ISO 8601)."""


_MOST_HZ = 1e7
_FIELD = re.compile(r"\{(\w*)\}")


class ChannelMapping(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One channel: the column it comes from, its unit there, and -1 where the axis points the
    other way.

    Swapped axes are mended by naming the other column. An `optional` channel may be absent from a
    file (a device without that sensor); it is NaN there, never invented.
    """

    column: str
    name: str = ""
    unit: str = ""
    sign: Literal[1, -1] = 1
    optional: bool = False


class SourceMapping(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What is where in a source. A default holds for files that already use our words.

    `labels` maps the label as the file writes it to a name of ours; `label_names` fixes the order
    (and with it the class positions). `subject_is` and `label_is` stand in for a column in a file
    of one person or one activity. In a folder `path` says what the names of files and folders
    mean: "{label}/{subject}-*" reads `walk/ann-3.csv` as ann walking. `max_gap_s` is the longest
    hole that is interpolated; a longer one splits the recording.
    `rate_hz` is the rate of the source (the median of its clock when it is left out), `resample_hz`
    the one that the dataset shall have.
    """

    channels: tuple[ChannelMapping, ...] = ()
    samples: str = "X"
    label: str = "label"
    subject: str = "subject"
    label_is: str = ""
    subject_is: str = ""
    path: str = ""
    recording: str = "recording"
    time: str = ""
    time_unit: Literal["s", "ms", "us", "ns", "iso"] = "s"
    rate_hz: float | None = None
    resample_hz: float | None = None
    max_gap_s: float = 0.25
    labels: dict[str, str] = {}
    label_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("rate_hz", "resample_hz"):
            rate = getattr(self, name)
            if rate is not None and not 0 < rate <= _MOST_HZ:
                raise ValueError(f"{name} is {rate:g}, expected above 0 and at most {_MOST_HZ:g}")
        names = [channel.name or channel.column for channel in self.channels]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"channels {twice} are there twice, expected a name for each")
        fields = _FIELD.findall(self.path)
        wrong = set(fields) - {"label", "subject"}
        if wrong or len(set(fields)) < len(fields):
            raise ValueError(f"path has {fields}, expected {{label}} and {{subject}} once")
        if not self.max_gap_s > 0:
            raise ValueError(f"max_gap_s is {self.max_gap_s:g}, expected above 0")

    def of_path(self, name: str, *, source: str) -> "SourceMapping":
        """The mapping for one file of a folder, by its path below it without the suffix.

        >>> mapping = SourceMapping(path="{label}/{subject}-*")
        >>> mapping.of_path("walk/ann-3", source="here").subject_is
        'ann'

        Raises:
            InputError: the path is not of that form.
        """
        if not self.path:
            return self
        parts = _FIELD.split(self.path)
        pattern = "".join(
            f"(?P<{part}>[^/]+?)" if at % 2 else re.escape(part).replace(r"\*", "[^/]*")
            for at, part in enumerate(parts)
        )
        found = re.fullmatch(pattern, name)
        if found is None:
            raise InputError(
                f"{source}: file {name!r} is not of the form {self.path!r}",
                hint="correct `path` in the mapping, or move the file out of the folder",
            )
        values = found.groupdict()
        label = values.get("label", "")
        if label and self.labels:
            if label not in self.labels:
                raise InputError(f"{source}: label {label!r} of {name!r} is not in the label map")
            label = self.labels[label]
        return msgspec.structs.replace(
            self,
            label_is=label or self.label_is,
            subject_is=values.get("subject", self.subject_is),
            path="",
        )
