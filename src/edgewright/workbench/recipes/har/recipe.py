"""The activity recipe: what to learn from inertial sensors, and what the model promises."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import msgspec
import torch
from torch import nn
from torch.nn import functional

from edgewright.contract import (
    Argmax,
    Budgets,
    Channel,
    Contract,
    Labels,
    Softmax,
    Tensor,
    Tolerances,
)
from edgewright.contract.decoding import convert
from edgewright.errors import InputError
from edgewright.workbench.data import (
    Dataset,
    SourceMapping,
    Split,
    WindowSet,
    absent_as_zeros,
    cut_windows,
    merge_datasets,
    read_source,
    source_files,
    split_by_subject,
    triads,
)
from edgewright.workbench.recipes.base import CLASSIFICATION, Inputs, ModelFacts, Moment
from edgewright.workbench.recipes.har.added import first_part, train_on_added, with_added
from edgewright.workbench.recipes.har.augment import augment
from edgewright.workbench.recipes.har.branches import BranchedNetwork
from edgewright.workbench.recipes.har.networks import NETWORKS, shortest_window
from edgewright.workbench.recipes.har.normalisation import Normalisation
from edgewright.workbench.recipes.har.options import HarOptions
from edgewright.workbench.recipes.har.quick import QuickNetwork
from edgewright.workbench.recipes.har.sensors import with_sensors
from edgewright.workbench.recipes.har.tcn_vae import TcnVae

RANGES = {"g": 50.0, "rad/s": 35.0, "uT": 2000.0}
"""What a sensor of each unit can read; beyond it, a request is refused at the door."""


_CALM = frozenset({"gru", "cnn-lstm", "transformer"})
_BESIDE_STATISTICS = frozenset({"har-fusion", "har-branches"})
_FOCUS = 2.0


class HarRecipe:
    """Human activities from windows of a wearable's inertial sensors."""

    name = "har"
    task = msgspec.structs.replace(CLASSIFICATION, unit="window", group="person", groups="people")

    def __init__(self, options: HarOptions | None = None) -> None:
        self._options = options or HarOptions()

    @property
    def options(self) -> HarOptions:
        return self._options

    @property
    def training(self) -> Mapping[str, Any]:
        if self._options.architecture in _BESIDE_STATISTICS:
            return {"batch_size": 128, "lr": 4e-3, "mixup": 0.0, "averaging": 0.98}
        if self._options.architecture != "tcn-vae":
            return {"lr": 1e-3} if self._options.architecture in _CALM else {}
        return {
            "lr": 3e-4,
            "schedule": "restarts",
            "weight_decay": 1e-4,
            "grad_clip": 0.8,
            "label_smoothing": 0.1,
            "mixup": 0.0,
            "epochs": 60,
        }

    def with_options(self, raw: Mapping[str, Any], *, source: str) -> Self:
        return type(self)(convert(dict(raw), HarOptions, source=source))

    def sources(self, folder: Path) -> tuple[Path, ...]:
        sources = [each.source for each in self._options.merge] or [self._options.source]
        sources += self._options.added
        return tuple(file for each in sources for file in source_files(each, folder=folder))

    def load_data(self, folder: Path) -> Dataset:
        options = self._options
        if options.merge:
            dataset = merge_datasets(
                {
                    each.name: read_source(each.source, each.mapping, folder=folder)
                    for each in options.merge
                },
                {each.name: each.labels for each in options.merge},
                classes=options.classes,
            )
        else:
            dataset = read_source(options.source, options.mapping, folder=folder)
        if options.labels:
            dataset = dataset.with_labels(options.labels)
        added = [read_source(each, SourceMapping(), folder=folder) for each in options.added]
        return with_added(dataset, added)

    def split(self, dataset: Dataset) -> Split:
        chosen = self._options.split
        split = split_by_subject(
            first_part(dataset),
            test=chosen.test or chosen.test_count,
            val=chosen.val or chosen.val_count,
            seed=chosen.seed,
        )
        if not split.test:
            raise InputError(
                "[recipe.split] tests nobody, so nothing could be said of the model",
                hint="set test_count = 1 or more, or name people in test",
            )
        return train_on_added(split, dataset)

    def cut(self, dataset: Dataset, subjects: tuple[str, ...]) -> WindowSet:
        rate_hz = self._options.rate_hz or dataset.rate_hz
        windows = cut_windows(
            dataset,
            subjects,
            length=round(self._options.window_s * rate_hz),
            hop=max(round(self._options.hop_s * rate_hz), 1),
            rate_hz=rate_hz,
        )
        if self._options.sensors:
            windows = with_sensors(windows, self._options.sensors)
        return absent_as_zeros(windows) if self._options.masks_absent else windows

    def facts(self, windows: WindowSet) -> ModelFacts:
        return ModelFacts(
            length=windows.length,
            channels=windows.channels,
            labels=windows.label_names,
            rate_hz=windows.rate_hz,
        )

    def contract(self, facts: ModelFacts) -> Contract:
        shape = ("batch", facts.length, len(facts.channels))
        x = Tensor(
            name="x", dtype="float32", shape=shape, channels=tuple(map(_ranged, facts.channels))
        )
        latent = Tensor(name="latent", dtype="float32", shape=("batch", self._options.latent))
        logits = Tensor(name="logits", dtype="float32", shape=("batch", len(facts.labels)))
        probabilities = Tensor(
            name="probabilities", dtype="float32", shape=logits.shape, low=0.0, high=1.0
        )
        label = Tensor(name="label", dtype="string", shape=("batch",))
        return Contract(
            inputs=(x,),
            outputs=(latent, logits, probabilities, label),
            postprocess=(
                Softmax(tensor="logits", into="probabilities"),
                Argmax(tensor="logits", into="label"),
                Labels(tensor="label"),
            ),
            labels=facts.labels,
            rate_hz=facts.rate_hz,
            metric="accuracy",
            tolerances=Tolerances(),
            budgets=Budgets(
                latency_p95_ms=50.0, throughput_rps=250.0, memory_mb=512.0, size_mb=10.0
            ),
        )

    def build(self, facts: ModelFacts) -> nn.Module:
        channels, classes, options = len(facts.channels), len(facts.labels), self._options
        if options.architecture == "tcn-vae":
            return TcnVae(
                length=facts.length,
                channels=channels,
                classes=classes,
                latent=options.latent,
                dropout=options.vae.dropout,
                masks=options.masks_absent,
            )
        shortest = shortest_window(options)
        if facts.length < shortest:
            raise InputError(
                f"a window of {facts.length} samples is too short for {options.architecture}",
                hint=f"make it {shortest} or more, or name fewer widths",
            )
        if options.architecture in NETWORKS:
            return NETWORKS[options.architecture](facts, options)
        return QuickNetwork(
            channels=channels,
            classes=classes,
            widths=options.widths,
            latent=options.latent,
            masks=options.masks_absent,
        )

    def fit(self, module: nn.Module, train: WindowSet) -> None:
        for part in module.modules():
            if isinstance(part, Normalisation):
                part.fit(train)

    def augment(self, inputs: Inputs, facts: ModelFacts, generator: torch.Generator) -> Inputs:
        (x,) = inputs
        axes = tuple(map(tuple, triads(facts.channels).values()))
        return (augment(x, self._options.augment, triads=axes, generator=generator),)

    def loss(
        self, module: nn.Module, inputs: Inputs, target: torch.Tensor, moment: Moment
    ) -> torch.Tensor:
        (x,) = inputs
        if isinstance(module, BranchedNetwork):
            losses = [self._class_loss(logits, target) for _, logits in module.each(x)]
            return torch.stack(losses).mean()
        if not isinstance(module, TcnVae):
            return self._class_loss(module(x)[-1], target)
        weights = self._options.vae
        noise = moment.normal(len(x), self._options.latent).to(x.device)
        logits, squared_error, kl = module.parts(x, noise)
        warm = min(1.0, moment.epoch / max(weights.kl_warmup_epochs, 1))
        total = self._class_loss(logits, target)
        return total + weights.reconstruction * squared_error + weights.kl * warm * kl

    def _class_loss(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if self._options.loss == "cross-entropy":
            return functional.cross_entropy(logits, target)
        log_p = functional.log_softmax(logits, dim=1)
        return -(target * (1.0 - log_p.exp()) ** _FOCUS * log_p).sum(dim=1).mean()


def _ranged(channel: Channel) -> Channel:
    limit = RANGES.get(channel.unit)
    if limit is None or channel.low is not None or channel.high is not None:
        return channel
    return msgspec.structs.replace(channel, low=-limit, high=limit)
