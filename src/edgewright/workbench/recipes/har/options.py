"""What can be chosen in the activity recipe. Every key may stand in `[recipe]` of a project."""

from typing import Literal

import msgspec

from edgewright.workbench.data import SourceMapping


class SplitOptions(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """People named for test and validation, or how many to draw with the seed."""

    test: tuple[str, ...] = ()
    test_count: int = 2
    val: tuple[str, ...] = ()
    val_count: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("test_count", "val_count", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 or more")


class AugmentOptions(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """How training windows are varied. Rotation turns all sensors together, as a device that sits
    differently does; scaling and jitter are shares of a channel's own size. `shift` is in samples,
    `time_warp` a share of the speed. `channel_drop` and `sensor_drop` are how often a channel stays
    at its mean, or a whole sensor is sent as zeros as by a device that lacks it.

    There is no jitter unless asked: it hides the small motions that tell sitting from standing.
    """

    rotation_deg: float = 25.0
    scaling: float = 0.1
    jitter: float = 0.0
    time_warp: float = 0.0
    shift: int = 0
    channel_drop: float = 0.0
    sensor_drop: float = 0.0


class VaeOptions(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Weights of the parts of the TCN-VAE's loss."""

    reconstruction: float = 0.1
    kl: float = 0.01
    kl_warmup_epochs: int = 20
    dropout: float = 0.2


class MergeOptions(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One of several sources: where it is, how to read it, and the name of each of its labels in
    the merged set ("" for one that must not be learnt).
    """

    name: str
    source: str
    labels: dict[str, str]
    mapping: SourceMapping = SourceMapping()


class HarOptions(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """The activity recipe: data, windows, network, augmentation.

    `merge` names several sources instead of one `source`; `classes` is how many their label maps
    must lead to. With `masks_absent` one model serves
    devices with fewer sensors, which send zeros for the rest. `har-quick` is the residual CNN,
    `har-fusion` the same beside statistics of the window, `har-branches` several small ones of
    that kind (`branches`, which must divide `latent`); the last of `widths` is also the width
    of `gru`, `cnn-lstm` and `transformer`, which use `dropout`. `focal` weighs down windows that
    are easy by now. `sensors` says what the model takes, also where the data have less or more of
    it: what was never measured is masked for good. `added` are archives of windows that were
    labelled later (`edgewright improve label`); they only train.
    """

    source: str = "seglearn"
    added: tuple[str, ...] = ()
    mapping: SourceMapping = SourceMapping()
    merge: tuple[MergeOptions, ...] = ()
    classes: int | None = None
    labels: tuple[str, ...] = ()
    rate_hz: float | None = None
    window_s: float = 2.0
    hop_s: float = 1.0
    architecture: Literal[
        "har-quick", "har-fusion", "har-branches", "tcn-vae", "gru", "cnn-lstm", "transformer"
    ] = "har-quick"
    widths: tuple[int, ...] = (48, 96, 128)
    latent: int = 64
    branches: int = 2
    dropout: float = 0.1
    loss: Literal["cross-entropy", "focal"] = "cross-entropy"
    masks_absent: bool = False
    sensors: tuple[Literal["acc", "gyro", "mag"], ...] = ()
    split: SplitOptions = SplitOptions()
    augment: AugmentOptions = AugmentOptions()
    vae: VaeOptions = VaeOptions()

    def __post_init__(self) -> None:
        if not 0 < self.hop_s <= self.window_s:
            raise ValueError(
                f"hop_s is {self.hop_s:g}, expected above 0 and at most window_s {self.window_s:g}"
            )
        if not self.widths or min(self.widths) < 1 or self.latent < 1:
            raise ValueError("widths and latent must be 1 or more")
        if self.branches < 1 or (
            self.architecture == "har-branches" and self.latent % self.branches
        ):
            raise ValueError(
                f"branches is {self.branches}, expected 1 or more that divide latent {self.latent}"
            )
        if self.architecture == "transformer" and self.widths[-1] % 4:
            raise ValueError(f"the last of widths is {self.widths[-1]}, expected a multiple of 4")
        if self.classes is not None and not self.merge:
            raise ValueError("classes counts the labels of merge, and nothing is merged")
        if self.sensors and not self.masks_absent:
            raise ValueError("sensors needs masks_absent = true, for what the data lack")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout:g}, expected 0 to below 1")
