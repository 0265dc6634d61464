"""How good predicted masks are: mean intersection over union, with intervals over groups. Pure.

>>> found = score_masks({"a": np.array([[3, 1], [0, 4]])}, labels=("sky", "road"), loss=0.1)
>>> round(found.miou, 3), found.pixel_accuracy
(0.775, 0.875)
"""

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright.errors import InputError
from edgewright.workbench.train.figures import Figure
from edgewright.workbench.train.resampling import interval_over_groups

_Ints = NDArray[np.int64]
_Floats = NDArray[np.float64]


class MaskClass(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One class: pixels of it in truth, and the overlap; absent where it never occurs."""

    name: str
    pixels: int
    iou: float | None


class MaskGroup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The scores of one group's pixels."""

    name: str
    pixels: int
    miou: float
    pixel_accuracy: float


class MaskMetrics(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="segmentation",
):
    """Scores of predicted masks; the mean is over the classes that occur. `loss` is the mean
    cross-entropy of a pixel.
    """

    rows: int
    miou: float
    miou_low: float
    miou_high: float
    pixel_accuracy: float
    loss: float
    classes: tuple[MaskClass, ...]
    groups: tuple[MaskGroup, ...]
    worst_group: str
    confusion: tuple[tuple[int, ...], ...]
    warning: str = ""

    @property
    def figures(self) -> tuple[Figure, ...]:
        """The figures of a report."""
        return (
            Figure(name="mIoU", value=self.miou, low=self.miou_low, high=self.miou_high),
            Figure(name="pixel accuracy", value=self.pixel_accuracy),
        )

    @property
    def group_rows(self) -> list[dict[str, str | int | float | None]]:
        """The table of groups of a report, the worst first."""
        return [
            {
                "group": g.name,
                "pixels": g.pixels,
                "mIoU": g.miou,
                "pixel accuracy": g.pixel_accuracy,
            }
            for g in sorted(self.groups, key=lambda g: g.miou)
        ]

    @property
    def headline(self) -> dict[str, float]:
        """The figures that a line of progress or a table shows."""
        return {"miou": self.miou, "pixel_accuracy": self.pixel_accuracy}


def score_masks(
    confusions: Mapping[str, _Ints],
    *,
    labels: tuple[str, ...],
    loss: float,
    rows: int = 0,
    warning: str = "",
) -> MaskMetrics:
    """Every score, from the counts [true, predicted] of each group's pixels.

    Raises:
        InputError: no pixel has a known class.
    """
    total = np.sum(list(confusions.values()), axis=0) if confusions else np.zeros((0, 0), np.int64)
    if not total.sum():
        raise InputError("no pixel to score has a known class", hint="label some of the masks")
    flat = np.stack([each.reshape(-1) for each in confusions.values()]).astype(np.float64)
    low, high = interval_over_groups(flat, _miou, none=(0.0, 1.0))
    iou = _iou(total.reshape(1, -1).astype(np.float64))[0]
    groups = tuple(
        MaskGroup(
            name=name,
            pixels=int(each.sum()),
            miou=float(_miou(each.reshape(1, -1).astype(np.float64))[0]),
            pixel_accuracy=float(np.trace(each) / max(each.sum(), 1)),
        )
        for name, each in confusions.items()
    )
    return MaskMetrics(
        rows=rows,
        miou=float(_miou(total.reshape(1, -1).astype(np.float64))[0]),
        miou_low=low,
        miou_high=high,
        pixel_accuracy=float(np.trace(total) / total.sum()),
        loss=loss,
        classes=tuple(
            MaskClass(
                name=name,
                pixels=int(total[at].sum()),
                iou=None if np.isnan(iou[at]) else float(iou[at]),
            )
            for at, name in enumerate(labels)
        ),
        groups=groups,
        worst_group=min(groups, key=lambda each: each.miou).name,
        confusion=tuple(tuple(int(n) for n in row) for row in total),
        warning=warning,
    )


def _iou(flat: _Floats) -> _Floats:
    """[draws, classes * classes] to [draws, classes], NaN for a class that does not occur."""
    classes = round(flat.shape[1] ** 0.5)
    table = flat.reshape(-1, classes, classes)
    hits = np.diagonal(table, axis1=1, axis2=2)
    union = table.sum(axis=1) + table.sum(axis=2) - hits
    found: _Floats = np.where(union > 0, hits / np.maximum(union, 1), np.nan)
    return found


def _miou(flat: _Floats) -> _Floats:
    iou = _iou(flat)
    occurs = ~np.isnan(iou)
    found: _Floats = np.where(occurs, iou, 0.0).sum(axis=1) / np.maximum(occurs.sum(axis=1), 1)
    return found
