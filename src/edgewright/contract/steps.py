"""Pre- and postprocessing as data: ordered, typed, with their fitted numbers inside.

Every step reads the tensor called `tensor` and writes `into` (the same name unless told otherwise),
so that a list of steps turns one dict of arrays into another. `edgewright.steps` is their one
implementation; training, parity checks, server and device all run that one.
"""

from typing import Literal

import msgspec


class _Step(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="step",
):
    tensor: str
    into: str = ""

    @property
    def target(self) -> str:
        """The name under which the result is stored."""
        return self.into or self.tensor


class Resample(_Step, frozen=True, kw_only=True, tag="resample"):
    """Samples [time, channels] at an even `from_hz` to an even `to_hz`, linear between
    neighbours.
    """

    from_hz: float
    to_hz: float

    def __post_init__(self) -> None:
        _positive(from_hz=self.from_hz, to_hz=self.to_hz)


class Window(_Step, frozen=True, kw_only=True, tag="window"):
    """Samples [time, channels] to windows [rows, length, channels], one every `hop` samples."""

    length: int
    hop: int

    def __post_init__(self) -> None:
        _positive(length=self.length, hop=self.hop)


class Normalise(_Step, frozen=True, kw_only=True, tag="normalise"):
    """(x - mean) / std along `axis`; the numbers were fitted on training data only."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    axis: int = -1

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not self.mean:
            raise ValueError(
                f"normalise: {len(self.mean)} means and {len(self.std)} stds do not belong together"
            )
        if any(value <= 0 for value in self.std):
            raise ValueError("normalise: every std must be above 0")


class Resize(_Step, frozen=True, kw_only=True, tag="resize"):
    """Images [rows, height, width, channels] to another size (half-pixel centres)."""

    height: int
    width: int
    method: Literal["nearest", "bilinear"] = "bilinear"

    def __post_init__(self) -> None:
        _positive(height=self.height, width=self.width)


class Crop(_Step, frozen=True, kw_only=True, tag="crop"):
    """The middle of images [rows, height, width, channels]."""

    height: int
    width: int

    def __post_init__(self) -> None:
        _positive(height=self.height, width=self.width)


class ChannelOrder(_Step, frozen=True, kw_only=True, tag="channel_order"):
    """RGB images [rows, height, width, channels] to another colour order and memory layout."""

    colours: Literal["rgb", "bgr"] = "rgb"
    layout: Literal["hwc", "chw"] = "chw"


class Softmax(_Step, frozen=True, kw_only=True, tag="softmax"):
    """Scores to probabilities along `axis`."""

    axis: int = -1


class Argmax(_Step, frozen=True, kw_only=True, tag="argmax"):
    """The position of the largest score along `axis`, as int64."""

    axis: int = -1


class Labels(_Step, frozen=True, kw_only=True, tag="labels"):
    """Class positions to the contract's label texts."""


class Threshold(_Step, frozen=True, kw_only=True, tag="threshold"):
    """True where a score is at least `at`."""

    at: float


class Mask(_Step, frozen=True, kw_only=True, tag="mask"):
    """Class scores of pixels (classes along `axis`) to a mask of class positions, as uint8."""

    axis: int = 1


class Nms(_Step, frozen=True, kw_only=True, tag="nms"):
    """Greedy non-maximum suppression: boxes [rows, n, 4] (x1 y1 x2 y2) with `scores` [rows, n] to
    kept flags.
    """

    scores: str
    iou: float = 0.5
    min_score: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.iou <= 1:
            raise ValueError(f"nms: iou is {self.iou:g}, expected above 0 and at most 1")


Step = (
    Resample
    | Window
    | Normalise
    | Resize
    | Crop
    | ChannelOrder
    | Softmax
    | Argmax
    | Labels
    | Threshold
    | Mask
    | Nms
)


def _positive(**values: float) -> None:
    for name, value in values.items():
        if value <= 0:
            raise ValueError(f"{name} is {value:g}, expected above 0")
