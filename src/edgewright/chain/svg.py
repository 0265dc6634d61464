"""Using a trained SVG quality model: wiring of its bundle, its features and its engine."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from edgewright._fs import read_limited
from edgewright._pictures import FILE_LIMIT_BYTES
from edgewright.bundle import unpack
from edgewright.chain.engines import open_unpacked
from edgewright.errors import InputError
from edgewright.runtimes.model import LoadedModel
from edgewright.workbench.recipes.svg.factory import raster
from edgewright.workbench.recipes.svg.features import Extractor, ExtractorName, find_extractor
from edgewright.workbench.recipes.svg.recommending import (
    Prediction,
    Recommendation,
    predict_settings,
    recommend,
)
from edgewright.workbench.recipes.svg.settings import Settings


class QualityModel:
    """A bundle's model with the features it was trained on, asked about logos."""

    def __init__(self, model: LoadedModel, extractor: Extractor) -> None:
        self._model, self._extractor = model, extractor

    def predict(self, content: bytes, candidates: Sequence[Settings], *, source: str) -> Prediction:
        """The predicted SSIM of each candidate for a picture's or an SVG's content.

        Raises:
            InputError: no picture, or an SVG that is refused.
        """
        return predict_settings(
            raster(content, source=source), self._extractor, self._ask, candidates
        )

    def recommend(self, content: bytes, *, source: str, seed: int = 0) -> Recommendation:
        """The best settings, traced for real beside the tracer's default."""
        return recommend(raster(content, source=source), self._extractor, self._ask, seed=seed)

    def _ask(
        self, features: NDArray[np.float32], settings: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        answer = self._model.predict({"features": features, "settings": settings})
        return np.asarray(answer["ssim"], np.float32)


@contextmanager
def open_quality_model(
    bundle: Path, *, features_file: Path | None = None
) -> Iterator[QualityModel]:
    """The model of a bundle of recipe svg-quality, closed in the end.

    Raises:
        InputError: a bundle of another recipe, or features that need a file and got none.
        TrustError: the bundle's bytes are not what its manifest says.
    """
    with tempfile.TemporaryDirectory(prefix="edgewright-svg-") as folder:
        unpack(bundle, Path(folder) / "bundle")
        model = open_unpacked(Path(folder) / "bundle")
        try:
            yield QualityModel(model, find_extractor(_features_of(model, bundle), features_file))
        finally:
            model.close()


def recommend_settings(
    picture: Path, bundle: Path, *, features_file: Path | None = None, seed: int = 0
) -> Recommendation:
    """The best settings for a picture or SVG file, by the model of a bundle.

    Raises:
        InputError: no picture, or a bundle of another recipe.
    """
    content = read_limited(picture, limit_bytes=FILE_LIMIT_BYTES)
    with open_quality_model(bundle, features_file=features_file) as model:
        return model.recommend(content, source=str(picture), seed=seed)


def _features_of(model: LoadedModel, bundle: Path) -> ExtractorName:
    """Which features it was trained on: the unit of its input `features`."""
    names = [tensor.name for tensor in model.contract.inputs]
    if names != ["features", "settings"]:
        raise InputError(
            f"{bundle}: its inputs are {names}, expected features and settings",
            hint="give a bundle of recipe svg-quality",
        )
    unit = model.contract.input("features").unit
    known: tuple[ExtractorName, ...] = get_args(ExtractorName)
    for name in known:
        if name == unit:
            return name
    raise InputError(f"{bundle}: features {unit!r} are not known here", hint="install a newer one")
