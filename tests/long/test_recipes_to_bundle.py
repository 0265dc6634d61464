"""The recipes on pictures and logos, from a folder of files to a signed bundle that answers."""

import colorsys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("vtracer", reason="absent: vtracer (extra svg)")
from PIL import Image, ImageDraw

from edgewright.chain.new_project import InitOrder, init_project
from edgewright.chain.project import RunOrder, run_project
from edgewright.chain.serving import open_servable
from edgewright.chain.svg import recommend_settings
from edgewright.device.serve import Model
from edgewright.errors import InputError

LOGOS = 24


def logo(number: int, shape: str, size: int = 32) -> Image.Image:
    """A coloured shape on white, its place and colour drawn from its number."""
    rng = np.random.default_rng(number)
    colour = tuple(round(255 * part) for part in colorsys.hsv_to_rgb(rng.uniform(), 0.9, 0.7))
    left, top = (int(v) for v in rng.integers(2, size // 3, 2))
    box = (left, top, left + size // 2, top + size // 2)
    image = Image.new("RGB", (size, size), "white")
    draw = ImageDraw.Draw(image)
    (draw.ellipse if shape == "disc" else draw.rectangle)(box, fill=colour)
    return image


def masks(folder: Path) -> None:
    folder.mkdir()
    for number in range(LOGOS):
        image = logo(number, "disc")
        image.save(folder / f"{number}.png")
        inside = (np.asarray(image) < 250).any(axis=2).astype(np.uint8)
        Image.fromarray(inside).save(folder / f"{number}_mask.png")


def logos(folder: Path) -> None:
    folder.mkdir()
    for number in range(LOGOS // 2):
        logo(number, "disc", 64).save(folder / f"{number}.png")


def bundled(tmp_path: Path, recipe: str, make: Callable[[Path], None], *overrides: str) -> Path:
    make(tmp_path / "data")
    project = tmp_path / "p"
    init_project(InitOrder(folder=project, recipe=recipe, data=tmp_path / "data"))
    order = RunOrder(folder=project, overrides=("train.threads=1", *overrides))
    return Path(run_project(order, watch=lambda _: None).bundle)


def asked(bundle: Path, question: Callable[[Model], object]) -> object:
    served = open_servable(bundle)
    try:
        assert served.is_signed
        assert served.golden is not None
        return question(served.model)
    finally:
        served.model.close()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_image_segmentation(tmp_path: Path) -> None:
    bundle = bundled(
        tmp_path,
        "image-segmentation",
        masks,
        "recipe.size=16",
        "recipe.width=4",
        "train.epochs=3",
        "train.batch_size=8",
    )
    image = np.full((1, 16, 16, 3), 255, np.float32)
    answer = asked(bundle, lambda model: model.predict({"image": image}))
    assert answer["mask"].shape == (1, 16, 16)
    assert set(np.unique(answer["mask"])) <= {0, 1}


def shapes(folder: Path) -> None:
    for number in range(5 * LOGOS):
        shape = ("disc", "square")[number % 2]
        (folder / shape).mkdir(parents=True, exist_ok=True)
        logo(number, shape).save(folder / shape / f"{number}.png")


@pytest.mark.long
@pytest.mark.timeout(900)
def test_image_classification(tmp_path: Path) -> None:
    bundle = bundled(
        tmp_path,
        "image-classification",
        shapes,
        "recipe.size=16",
        "recipe.widths=[8,16]",
        "train.epochs=15",
        "train.batch_size=8",
    )
    pictures = [np.asarray(logo(n, "disc").resize((16, 16)), np.float32) for n in range(100, 116)]
    answer = asked(bundle, lambda model: model.predict({"image": np.stack(pictures)}))
    assert set(answer["label"].tolist()) <= {"disc", "square"}
    assert np.mean(answer["label"] == "disc") > 0.6


@pytest.mark.long
@pytest.mark.timeout(900)
def test_svg_quality(tmp_path: Path) -> None:
    bundle = bundled(tmp_path, "svg-quality", logos, "recipe.settings_each=10", "train.epochs=4")
    found = recommend_settings(tmp_path / "data" / "0.png", bundle)
    assert found.pick.svg_bytes <= found.default.svg_bytes
    assert found.pick.true_ssim >= found.default.true_ssim
    wrong = {"features": np.zeros((1, 44), np.float32), "settings": np.zeros((1, 9), np.float32)}
    with pytest.raises(InputError, match="color_precision"):
        asked(bundle, lambda model: model.predict(wrong))
