"""Both shared sets as one, and a 9-axis window from a CSV file to `/infer`."""

import csv
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgewright.workbench.convert.torch_onnx import export_onnx
from edgewright.workbench.data import WindowSet
from edgewright.workbench.recipes.har import HarOptions, HarRecipe, MergeOptions, SplitOptions
from edgewright.workbench.train import TrainOptions, load_run, train

HAPT = ("WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING")
CHANGES = (
    "STAND_TO_SIT",
    "SIT_TO_STAND",
    "SIT_TO_LIE",
    "LIE_TO_SIT",
    "STAND_TO_LIE",
    "LIE_TO_STAND",
)
SPAR = ("PEN", "ABD", "FEL", "IR", "ER", "TRAP", "ROW")
AXES = [f"{sensor}_{axis}" for sensor in ("acc", "gyro", "mag") for axis in "xyz"]

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


def merged_recipe(data: Path) -> HarRecipe:
    hapt = {name: name.lower() for name in HAPT} | dict.fromkeys(CHANGES, "")
    spar = {name: f"exercise_{name.lower()}" for name in SPAR}
    return HarRecipe(
        HarOptions(
            merge=(
                MergeOptions(name="hapt", source=str(data / "hapt" / "hapt.npz"), labels=hapt),
                MergeOptions(
                    name="spar", source=str(data / "spar-watch" / "spar_watch.npz"), labels=spar
                ),
            ),
            masks_absent=True,
            sensors=("acc", "gyro", "mag"),
            hop_s=2.0,
            widths=(16, 32),
            split=SplitOptions(test=("hapt/2", "spar/1"), val=("hapt/4", "spar/2")),
        )
    )


@pytest.fixture(scope="module")
def served(
    shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, int]]:
    folder = tmp_path_factory.mktemp("merged")
    recipe = merged_recipe(shared_data)
    dataset = recipe.load_data(folder)
    split = recipe.split(dataset)
    learnt, watched = (_a_few(recipe.cut(dataset, who)) for who in (split.train, split.val))
    assert len(learnt.label_names) == len(HAPT) + len(SPAR) == 13
    assert [channel.name for channel in learnt.channels] == AXES
    options = TrainOptions(epochs=2, threads=1, device="cpu")
    train(recipe, learnt, watched, options, folder / "run")
    module, record = load_run(folder / "run")
    assert recipe.contract(record.facts).inputs[0].shape == ("batch", 100, 9)
    path = folder / "steps.onnx"
    export_onnx(module, (learnt.x[:2],), path, inputs=("x",), outputs=("latent", "logits"))
    process = subprocess.Popen(
        [sys.executable, "-m", "edgewright", "serve", str(path), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        address = str(json.loads(process.stdout.readline())["address"])
        yield address, len(learnt.label_names)
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def _a_few(windows: WindowSet) -> WindowSet:
    return windows.take(np.arange(0, len(windows), 6))


def infer(address: str, window: list[list[float]]) -> dict[str, list[float]]:
    request = urllib.request.Request(
        f"{address}/infer",
        data=json.dumps({"x": window}).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, list[float]] = json.load(answer)
    return found


def from_csv(path: Path) -> list[list[float]]:
    with path.open(newline="") as file:
        return [[float(row[axis]) for axis in AXES] for row in csv.DictReader(file)]


def test_a_nine_axis_window_flows_from_csv_to_infer(
    served: tuple[str, int], tmp_path: Path
) -> None:
    address, classes = served
    rng = np.random.default_rng(0)
    window = rng.normal(0, 0.3, (100, 9))
    window[:, 2] += 1.0
    window[:, 6:] = [22.0, -5.0, 43.0]
    path = tmp_path / "window.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(AXES)
        rows.writerows([[f"{value:.6f}" for value in row] for row in window])
    nine = infer(address, from_csv(path))
    assert len(nine["latent"]) == 64
    assert len(nine["logits"]) == classes
    assert np.isfinite(nine["latent"]).all()
    six = [[*row[:6], 0.0, 0.0, 0.0] for row in from_csv(path)]
    assert infer(address, six)["latent"] == pytest.approx(nine["latent"], abs=1e-5)
    still = [[0.0] * 3 + row[3:6] + [0.0] * 3 for row in from_csv(path)]
    assert infer(address, still)["latent"] != pytest.approx(nine["latent"], abs=1e-3)


def test_a_window_of_another_shape_is_refused(served: tuple[str, int]) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        infer(served[0], [[0.0] * 6] * 100)
    assert caught.value.code == 422
    caught.value.close()
