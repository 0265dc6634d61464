"""Pictures and masks as rows: what is read, what is refused, and networks of the right shape."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL", reason="absent: pillow (extra vision)")
import torch
from PIL import Image

from edgewright.errors import InputError
from edgewright.workbench.recipes import SEGMENTATION, find_recipe
from edgewright.workbench.recipes.image_classification.network import SmallNet
from edgewright.workbench.recipes.image_segmentation.network import UNet
from edgewright.workbench.train.scores import score_outputs


def picture(path: Path, colour: int, size: tuple[int, int] = (20, 20)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (colour, colour, 0)).save(path)


def bound(name: str, source: Path, **more: object):  # noqa: ANN201
    return find_recipe(name).with_options({"source": str(source), **more}, source="[recipe]")


def test_a_folder_for_each_class_becomes_rows(tmp_path: Path) -> None:
    for name, more in (("cat", 0), ("dog", 20)):
        for at in range(3):
            picture(tmp_path / name / f"{at}.png", 40 * at + more)
    recipe = bound("image-classification", tmp_path, size=16, widths=[4, 8])
    data = recipe.load_data(tmp_path)
    samples = data.samples
    assert samples.labels == ("cat", "dog")
    assert samples.inputs["image"].shape == (6, 16, 16, 3)
    assert len(data.subjects) == 6
    split = recipe.split(data)
    assert len(split.train) == 4
    contract = recipe.contract(recipe.facts(samples))
    assert contract.labels == ("cat", "dog")
    module = recipe.build(recipe.facts(samples))
    assert module(torch.zeros(2, 16, 16, 3))[-1].shape == (2, 2)


def test_parquet_pictures_are_read(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="absent: pyarrow (extra parquet)")
    import pyarrow.parquet as pq

    picture(tmp_path / "a.png", 10)
    content = (tmp_path / "a.png").read_bytes()
    table = pa.table({"png": [content] * 4, "label": [0, 1, 1, 0]})
    pq.write_table(table, tmp_path / "p.parquet")
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    recipe = bound("image-classification", tmp_path / "p.parquet")
    assert recipe.read(tmp_path).labels == ("cat", "dog")
    pq.write_table(pa.table({"x": [1]}), tmp_path / "q.parquet")
    with pytest.raises(InputError, match="expected one of"):
        bound("image-classification", tmp_path / "q.parquet").read(tmp_path)


def test_copies_of_a_picture_belong_to_one_group(tmp_path: Path) -> None:
    for name, colour in (("a", 10), ("b", 20), ("c", 10)):
        picture(tmp_path / "cat" / f"{name}.png", colour)
        picture(tmp_path / "dog" / f"{name}.png", colour + 100)
    samples = bound("image-classification", tmp_path, size=8, widths=[4]).read(tmp_path)
    assert samples.group.tolist() == [f"{which}/{n}.png" for which in ("cat", "dog") for n in "aba"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, -1], "1 rows have no label, row 2 among them"),
        ([0, None, 1], "1 rows have no label, row 1 among them"),
        ([0, 1, 2], "labels 0 to 2, and labels.txt beside it names 2"),
    ],
)
def test_labels_that_nobody_knows_make_no_class(
    tmp_path: Path, labels: list[int | None], message: str
) -> None:
    pa = pytest.importorskip("pyarrow", reason="absent: pyarrow (extra parquet)")
    import pyarrow.parquet as pq

    (tmp_path / "labels.txt").write_text("cat dog\n")
    table = pa.table({"png": [b"x"] * 3, "label": labels})
    pq.write_table(table, tmp_path / "p.parquet")
    recipe = bound("image-classification", tmp_path / "p.parquet")
    assert [path.name for path in recipe.sources(tmp_path)] == ["p.parquet", "labels.txt"]
    with pytest.raises(InputError, match=message):
        recipe.read(tmp_path)


def test_a_row_without_a_picture_is_named(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="absent: pyarrow (extra parquet)")
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"png": [b"x", None], "label": [0, 1]}), tmp_path / "p.parquet")
    with pytest.raises(InputError, match="row 1 holds no picture"):
        bound("image-classification", tmp_path / "p.parquet").read(tmp_path)


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        picture(tmp_path / name / "0.png", 9)
    (tmp_path / "dog" / "1.png").write_bytes(b"junk")
    with pytest.raises(InputError, match=r"dog/1\.png: not a picture"):
        bound("image-classification", tmp_path).read(tmp_path)


@pytest.mark.parametrize("name", ["image-classification", "image-segmentation", "svg-quality"])
def test_a_project_without_data_says_what_to_add(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"names no source; add source"):
        find_recipe(name).load_data(tmp_path)


def masked(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        picture(folder / f"{name}.png", ord(name), (40, 40))
        mask = np.zeros((40, 40), np.uint8)
        mask[:, 20:] = 1
        Image.fromarray(mask).save(folder / f"{name}_mask.png")


def test_masks_become_tiles_with_classes(tmp_path: Path) -> None:
    masked(tmp_path, ("a", "b", "c"))
    recipe = bound("image-segmentation", tmp_path, size=16, width=4)
    samples = recipe.read(tmp_path)
    assert samples.inputs["image"].shape == (12, 16, 16, 3)
    assert samples.target.shape == (12, 16, 16)
    assert set(np.unique(samples.target)) == {0, 1}
    assert len(set(samples.group.tolist())) == 3
    assert samples.target[0].max() == 0
    assert samples.target[1].min() == 1


def test_tiles_on_both_sides_are_said_in_every_report(tmp_path: Path) -> None:
    masked(tmp_path, ("a",))
    samples = bound("image-segmentation", tmp_path, size=16, split="tile").read(tmp_path)
    assert "both sides" in samples.warning
    assert len(set(samples.group.tolist())) == 4


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    masked(tmp_path, ("a",))
    Image.new("L", (10, 10)).save(tmp_path / "a_mask.png")
    with pytest.raises(InputError, match="its picture has 40 x 40"):
        bound("image-segmentation", tmp_path).read(tmp_path)


def test_networks_keep_the_size_of_pictures() -> None:
    assert UNet(classes=3, width=4)(torch.zeros(1, 16, 24, 3))[0].shape == (1, 3, 16, 24)
    assert SmallNet(classes=5, widths=(4,))(torch.zeros(2, 8, 8, 3))[0].shape == (2, 5)


def test_pixels_that_nobody_knows_are_no_class(tmp_path: Path) -> None:
    masked(tmp_path, ("a", "b", "c"))
    mask = np.zeros((40, 40), np.uint8)
    mask[:, 20:], mask[:20, :20], mask[20:, :10] = 1, 255, 255
    Image.fromarray(mask).save(tmp_path / "a_mask.png")
    samples = bound("image-segmentation", tmp_path, size=16, unknown=255).read(tmp_path)
    assert samples.labels == ("class-0", "class-1")
    assert len(samples) == 11, "a tile of which nothing is known teaches nothing"
    assert set(np.unique(samples.target).tolist()) == {-1, 0, 1}
    logits = np.stack([samples.target == 0, samples.target == 1], axis=1).astype(np.float32)
    assert score_outputs(SEGMENTATION, logits, samples).pixel_accuracy == 1.0
