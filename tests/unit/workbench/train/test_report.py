"""What a run's report says, and that its arithmetic is that of others."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgewright.contract import Contract, Tensor
from edgewright.testing.recipes import MaskRecipe, mask_samples
from edgewright.workbench.data import Dataset, Split
from edgewright.workbench.data.splits import LEAKY_NAME
from edgewright.workbench.recipes.har import HarOptions, HarRecipe
from edgewright.workbench.train import RunOrigin, TrainOptions, load_run, train, train_options
from edgewright.workbench.train.embedding import linear_probe, nearest_neighbours
from edgewright.workbench.train.fairness import attribute_tables, by_attribute
from edgewright.workbench.train.reliability import reliability
from edgewright.workbench.train.report import (
    RunReport,
    SeedScore,
    card_facts,
    make_report,
    render_card,
    render_report,
    spread_of,
)

RECIPE = HarRecipe(HarOptions(widths=(8, 16), latent=8, hop_s=0.5))
OPTIONS = TrainOptions(
    epochs=2,
    batch_size=16,
    threads=1,
    device="cpu",
    groups={"hand": {"left": ("4",), "right": ("5",)}},
)
COMMAND = "edgewright train --project steps"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> RunReport:
    from edgewright.workbench.data import Channel, Recording

    rng = np.random.default_rng(0)

    def recording(who: str, label: int) -> Recording:
        samples = rng.normal(0, 0.1 + label, (300, 3)).astype(np.float32)
        return Recording(samples, np.full(300, label, np.int16), who, f"{who}-{label}", 50.0)

    people = "12345"
    dataset = Dataset(
        tuple(recording(who, label) for who in people for label in (0, 1)),
        tuple(Channel(name=f"acc_{axis}", unit="g") for axis in "xyz"),
        ("still", "moving"),
        50.0,
        "made up",
    )
    folder = tmp_path_factory.mktemp("run")
    sets = RECIPE.cut(dataset, ("1", "2")), RECIPE.cut(dataset, ("3",))
    split = Split(name="by hand", train=("1", "2"), val=("3",), test=("4", "5"))
    origin = RunOrigin(dataset=dataset.content_hash, split=split, command=COMMAND)
    train(RECIPE, *sets, OPTIONS, folder, origin=origin)
    module, record = load_run(folder)
    return make_report(
        "steps",
        record,
        module,
        task=RECIPE.task,
        contract=RECIPE.contract(record.facts),
        train=sets[0],
        test=RECIPE.cut(dataset, ("4", "5")).labelled(LEAKY_NAME),
        seeds=(
            SeedScore(seed=0, weights="a", scores={"accuracy": 0.8}),
            SeedScore(seed=1, weights="b", scores={"accuracy": 0.9}),
        ),
    )


def test_group_arithmetic_is_fairlearns() -> None:
    fairlearn = pytest.importorskip("fairlearn.metrics", reason="absent: fairlearn (oracles)")
    rng = np.random.default_rng(3)
    right = rng.random(400) < 0.7
    values = rng.choice(["a", "b", "c"], 400, p=[0.7, 0.25, 0.05])
    ours = by_attribute("group", values, right)
    theirs = fairlearn.MetricFrame(
        metrics=lambda y, guess: float(np.mean(y == guess)),
        y_true=np.ones(400),
        y_pred=right.astype(float),
        sensitive_features=values,
    )
    assert {g.name: g.accuracy for g in ours.groups} == pytest.approx(theirs.by_group.to_dict())
    assert ours.difference == pytest.approx(theirs.difference(method="between_groups"))
    assert ours.ratio == pytest.approx(theirs.ratio(method="between_groups"))
    assert ours.worst == theirs.by_group.idxmin()


def test_macro_f1_and_confusion_are_scikit_learns() -> None:
    sklearn = pytest.importorskip("sklearn.metrics", reason="absent: scikit-learn (oracles)")
    from edgewright.workbench.train import score

    rng = np.random.default_rng(4)
    y, logits = rng.integers(0, 4, 300), rng.normal(size=(300, 4)).astype(np.float32)
    ours = score(logits, y, subject=np.repeat(["a", "b"], 150), labels=tuple("wxyz"))
    guess = logits.argmax(axis=1)
    assert ours.macro_f1 == pytest.approx(sklearn.f1_score(y, guess, average="macro"))
    assert np.array_equal(ours.confusion, sklearn.confusion_matrix(y, guess))


def test_people_that_no_group_names_stand_apart() -> None:
    people = np.array(["a/1", "a/2", "b/1"])
    right = np.array([True, False, True])
    tables = attribute_tables({"hand": {"left": ("a/1",)}}, people, right)
    assert [(t.attribute, t.worst) for t in tables] == [("hand", "(not said)"), ("source", "a")]


def test_a_report_says_all_that_is_known(report: RunReport) -> None:
    page = render_report(report)
    assert LEAKY_NAME in page
    assert COMMAND in page
    assert report.record.origin.dataset in page
    for text in ("macro-F1", "serves worst", "By hand", "linear probe", "by confidence", "still"):
        assert text in page
    assert report.embedding is not None
    assert report.embedding.linear_probe.accuracy > 0.9
    assert json.loads(msgspec.json.encode(report))["test"]["kind"] == "classification"


def test_the_card_opens_with_front_matter_that_hubs_read(report: RunReport) -> None:
    yaml = pytest.importorskip("yaml", reason="absent: pyyaml (oracles)")
    card = render_card(report)
    _, matter, text = card.split("---\n", 2)
    facts = yaml.safe_load(matter)
    assert facts == json.loads(json.dumps(card_facts(report)))
    result = facts["model-index"][0]["results"][0]
    assert result["task"]["type"] == facts["pipeline_tag"] == "tabular-classification"
    assert result["dataset"]["split"] == "by hand"
    assert {m["type"] for m in result["metrics"]} == {"accuracy", "macro_f1", "calibration_error"}
    assert LEAKY_NAME in text
    assert "One seed" not in text
    assert "0.8500" in text


def test_spread_over_seeds_by_hand() -> None:
    def seed(value: float) -> SeedScore:
        return SeedScore(seed=0, weights="", scores={"accuracy": value})

    (spread,) = spread_of([seed(0.8), seed(0.9), seed(1.0)])
    assert (spread.mean, spread.lowest, spread.highest) == pytest.approx((0.9, 0.8, 1.0))
    assert spread.std == pytest.approx(0.1)
    assert spread_of([seed(0.8)]) == ()


def test_masks_have_a_report_too(tmp_path: Path) -> None:
    recipe, samples = MaskRecipe(), mask_samples(8)
    raw = {"epochs": 1, "batch_size": 4, "threads": 1, "device": "cpu"}
    train(recipe, samples, samples, train_options(recipe, raw, source="t"), tmp_path)
    module, record = load_run(tmp_path, recipe=recipe)
    image = Tensor(name="image", dtype="float32", shape=("batch", 2, 8, 8))
    contract = Contract(inputs=(image,), outputs=(image,))
    found = make_report(
        "sky", record, module, task=recipe.task, contract=contract, train=samples, test=samples
    )
    assert "mIoU" in render_report(found)
    assert "place" in render_card(found)


def test_both_classifiers_on_an_embedding_find_what_is_apart() -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(3, 6) * 4
    y = np.arange(90) % 3
    x = (centres[y] + rng.normal(0, 0.3, (90, 6))).astype(np.float32)
    asked = centres.astype(np.float32)
    for ask in (linear_probe, nearest_neighbours):
        assert ask(x, y, asked, classes=3).argmax(axis=1).tolist() == [0, 1, 2]


def test_fewer_rows_than_neighbours_are_enough() -> None:
    x = np.eye(2, dtype=np.float32)
    votes = nearest_neighbours(x, np.array([0, 1]), x, classes=2)
    assert votes.argmax(axis=1).tolist() == [0, 1]


def test_reliability_adds_up_to_the_calibration_error() -> None:
    from edgewright.workbench.train import score

    rng = np.random.default_rng(1)
    y, logits = rng.integers(0, 3, 500), rng.normal(0, 2, (500, 3)).astype(np.float32)
    bins = reliability(logits, y)
    gap = sum(b.rows * abs(b.confidence - b.accuracy) for b in bins) / 500
    metrics = score(logits, y, subject=np.repeat(["a"], 500), labels=("x", "y", "z"))
    assert gap == pytest.approx(metrics.calibration_error, abs=1e-6)
