"""Recommending tracer settings with a served bundle's model: wiring."""

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgewright._fs import read_limited
from edgewright._pictures import FILE_LIMIT_BYTES
from edgewright.bundle import unpack
from edgewright.chain.engines import open_unpacked
from edgewright.errors import InputError
from edgewright.workbench.recipes.svg.factory import raster
from edgewright.workbench.recipes.svg.features import find_extractor
from edgewright.workbench.recipes.svg.recommending import Recommendation, recommend

_EXTRACTORS = ("pilots", "statistics", "efficientnet-lite0", "resnet50")


def recommend_settings(
    picture: Path, bundle: Path, *, features_file: Path | None = None, seed: int = 0
) -> Recommendation:
    """The best settings for a picture or SVG file, by the model of a bundle.

    Raises:
        InputError: no picture, or a bundle of another recipe.
    """
    pixels = raster(read_limited(picture, limit_bytes=FILE_LIMIT_BYTES), source=str(picture))
    with tempfile.TemporaryDirectory(prefix="edgewright-svg-") as folder:
        unpack(bundle, Path(folder) / "bundle")
        model = open_unpacked(Path(folder) / "bundle")
        try:
            names = [tensor.name for tensor in model.contract.inputs]
            if names != ["features", "settings"]:
                raise InputError(
                    f"{bundle}: its inputs are {names}, expected features and settings",
                    hint="give a bundle of recipe svg-quality",
                )
            unit = model.contract.input("features").unit
            kind = next((name for name in _EXTRACTORS if name == unit), None)
            if kind is None:
                raise InputError(f"{bundle}: features {unit!r} are not known here")

            def predict(
                features: NDArray[np.float32], settings: NDArray[np.float32]
            ) -> NDArray[np.float32]:
                answer = model.predict({"features": features, "settings": settings})
                return np.asarray(answer["ssim"], np.float32)

            return recommend(
                pixels,
                find_extractor(kind, features_file),  # type: ignore[arg-type]  # one of the names
                predict,
                seed=seed,
            )
        finally:
            model.close()
