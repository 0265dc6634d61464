"""The recipe: logos in, a network that predicts the SSIM of their traces for any settings."""

from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edgewright.contract import Budgets, Contract, Tensor
from edgewright.errors import InputError
from edgewright.workbench.data import RowView, SampleSet, Split
from edgewright.workbench.recipes.base import REGRESSION, Inputs, ModelFacts, Moment
from edgewright.workbench.recipes.sampled import (
    SampleData,
    SampledRecipe,
    files_of,
    one_group_for_copies,
)
from edgewright.workbench.recipes.svg.factory import FactoryOrder, Made, make_rows
from edgewright.workbench.recipes.svg.feature_file import feature_rows
from edgewright.workbench.recipes.svg.features import Extractor, ExtractorName, find_extractor
from edgewright.workbench.recipes.svg.networks import (
    WIDE_FEATURES,
    Anchored,
    Head,
    Quality,
    Ranker,
    Wide,
)
from edgewright.workbench.recipes.svg.settings import PARAMETERS, channels, encode

CACHE = Path(".edgewright") / "svg"
SMALL: dict[str, Any] = {
    "epochs": 30,
    "batch_size": 128,
    "lr": 3e-3,
    "weight_decay": 1e-2,
    "averaging": 0.995,
    "mixup": 0.0,
    "label_smoothing": 0.0,
}
"""How the other networks are trained, unless the project says otherwise."""

SPECIFIED: dict[str, Any] = {
    "mixup": 0.0,
    "label_smoothing": 0.0,
    "optimizer": "adamw",
    "lr": 1e-3,
    "weight_decay": 1e-5,
    "schedule": "cosine",
    "epochs": 50,
    "batch_size": 64,
    "patience": 8,
    "keep": "best",
    "grad_clip": 1.0,
    "averaging": 0.0,
    "checkpoint_epochs": 3,
    "keep_checkpoints": 10,
}
"""How the network of 2,766,337 parameters is trained, with the mean squared error as its loss."""

_FULL_SCALE = 0.05


class SvgOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[recipe]`. With `test_source` a second collection is the test set, and none of it trains."""

    source: str = ""
    test_source: str = ""
    settings_each: int = 8
    logos: int = 0
    seed: int = 0
    processes: int = 0
    features: ExtractorName = "pilots"
    features_file: str = ""
    network: Literal["auto", "anchored", "ranker", "head-1280", "mlp-2056"] = "auto"

    def __post_init__(self) -> None:
        if self.settings_each < 2:
            raise ValueError(f"settings_each is {self.settings_each}, expected 2 or more")
        if min(self.logos, self.processes, self.seed) < 0:
            raise ValueError("logos, processes and seed are 0 or more")
        if self.network == "anchored" and self.features != "pilots":
            raise ValueError(f'network "anchored" starts from pilots, features are {self.features}')

    @property
    def chosen_network(self) -> str:
        """The network that "auto" stands for: one that starts from pilots where there are some."""
        if self.network != "auto":
            return self.network
        return "anchored" if self.features == "pilots" else "ranker"


class SvgQuality(SampledRecipe[SvgOptions]):
    """The SSIM of a logo's trace, from features of the logo and the tracer's settings."""

    name = "svg-quality"
    task = msgspec.structs.replace(REGRESSION, unit="trace", group="logo", groups="logos")
    Options = SvgOptions

    @property
    def training(self) -> dict[str, Any]:
        return SPECIFIED if self.options.network == "mlp-2056" else SMALL

    def sources(self, folder: Path) -> tuple[Path, ...]:
        options = self.options
        more = [folder / name for name in (options.test_source, options.features_file) if name]
        return (*super().sources(folder), *(file for path in more for file in files_of(path)))

    def read(self, folder: Path) -> SampleSet:
        options = self.options
        places = [self.source(folder)]
        if options.test_source:
            places.append(folder / options.test_source)
            if places[0].stem == places[1].stem:
                raise InputError(
                    f"both collections are called {places[0].stem!r}, which names their logos",
                    hint="rename the file or folder of source or test_source",
                )
        weights = folder / options.features_file if options.features_file else None
        extractor = find_extractor(options.features, weights)
        made = [self._make(place, folder / CACHE) for place in places]
        together = Made(
            logos=tuple(logo for one in made for logo in one.logos),
            pictures=tuple(picture for one in made for picture in one.pictures),
            skipped={},
        )
        origin = ", ".join(place.name for place in places)
        return drawn_samples(together, extractor, folder / CACHE, origin=origin)

    def split(self, data: SampleData) -> Split:
        if not self.options.test_source:
            return super().split(data)
        other = Path(self.options.test_source).stem
        tested = tuple(name for name in data.subjects if name.startswith(f"{other}/"))
        rest = np.array([name for name in data.subjects if name not in set(tested)])
        order = np.random.default_rng(self.options.seed).permutation(len(rest))
        watched = max(1, len(rest) // 10)
        return Split(
            name=f"by collection: trained on one, tested on {other}",
            test=tested,
            val=tuple(sorted(rest[order[:watched]].tolist())),
            train=tuple(sorted(rest[order[watched:]].tolist())),
        )

    def build(self, facts: ModelFacts) -> nn.Module:
        (features,) = facts.inputs["features"]
        match self.options.chosen_network:
            case "anchored":
                return Anchored(features)
            case "mlp-2056" if features > WIDE_FEATURES:
                raise InputError(f"{features} features do not fit into {WIDE_FEATURES}")
            case "mlp-2056":
                return Wide(features)
            case "head-1280":
                return Head(features)
            case _:
                return Ranker(features)

    def fit(self, module: nn.Module, train: SampleSet) -> None:
        if isinstance(module, Quality):
            arrays = [np.asarray(train.inputs[name][:]) for name in ("features", "settings")]
            module.fit(*(torch.from_numpy(array) for array in arrays))

    def augment(self, inputs: Inputs, facts: ModelFacts, generator: torch.Generator) -> Inputs:
        """A little noise on the features, so that few logos are not learnt by heart."""
        features, settings = inputs
        noise = torch.randn(features.shape, generator=generator).to(features.device)
        return features * (1 + 0.01 * noise), settings

    def loss(
        self, module: nn.Module, inputs: Inputs, target: torch.Tensor, moment: Moment
    ) -> torch.Tensor:
        answer = module(*inputs)[-1]
        if self.options.network == "mlp-2056":
            return functional.mse_loss(answer, target)
        # The members of an anchored network answer for themselves while it trains.
        return functional.smooth_l1_loss(answer, target.expand_as(answer), beta=_FULL_SCALE)

    def contract(self, facts: ModelFacts) -> Contract:
        (features,) = facts.inputs["features"]
        return Contract(
            inputs=(
                Tensor(
                    name="features",
                    dtype="float32",
                    shape=("batch", features),
                    unit=self.options.features,
                ),
                Tensor(
                    name="settings",
                    dtype="float32",
                    shape=("batch", len(PARAMETERS)),
                    channels=channels(),
                ),
            ),
            outputs=(Tensor(name="ssim", dtype="float32", shape=("batch",), low=0.0, high=1.0),),
            metric="pearson",
            budgets=Budgets(latency_p95_ms=50.0, memory_mb=512.0, size_mb=100.0),
        )

    def _make(self, place: Path, cache: Path) -> Made:
        options = self.options
        order = FactoryOrder(
            collection=place,
            settings_each=options.settings_each,
            logos=options.logos,
            seed=options.seed,
            processes=options.processes,
        )
        return make_rows(order, cache)


def drawn_samples(made: Made, extractor: Extractor, cache: Path, *, origin: str = "") -> SampleSet:
    """The drawn rows with their picture's features, which lie on disk once for each picture."""
    rows = [(at, row) for at, logo in enumerate(made.logos) for row in logo.drawn]
    pictures = np.array([at for at, _ in rows], np.intp)
    names = one_group_for_copies(
        [f"{logo.source.collection}/{logo.source.file}" for logo in made.logos],
        [picture.tobytes() for picture in made.pictures],
    )
    return SampleSet(
        inputs={
            "features": RowView(feature_rows(made, extractor, cache), pictures),
            "settings": np.stack([encode(row.settings) for _, row in rows]),
        },
        target=np.array([row.ssim for _, row in rows], np.float32),
        group=np.array([names[at] for at in pictures]),
        origin=origin,
    )
