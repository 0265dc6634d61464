import numpy as np
import pytest

from edgewright.contract import Channel, Contract, Softmax, Tensor
from edgewright.device.streams import Wishes, plan_stream
from edgewright.device.streams.plan import read_answer
from edgewright.errors import InputError

WINDOWS = Tensor(
    name="imu",
    dtype="float32",
    shape=("batch", 10, 2),
    channels=(Channel(name="ax"), Channel(name="ay")),
)
LATENT = Tensor(name="latent", dtype="float32", shape=("batch", 4))
LOGITS = Tensor(name="logits", dtype="float32", shape=("batch", 2))


def contract(**fields: object) -> Contract:
    facts = {"inputs": (WINDOWS,), "outputs": (LATENT, LOGITS), "labels": ("sit", "walk")}
    return Contract(**{**facts, "rate_hz": 50.0, **fields})


def test_the_contract_says_it_all() -> None:
    plan = plan_stream(contract(), Wishes())
    assert (plan.tensor, plan.channels) == ("imu", ("ax", "ay"))
    assert (plan.length, plan.hop, plan.rate_hz) == (10, 5, 50.0)
    assert (plan.scores, plan.is_probability) == ("logits", False)


def test_scores_become_a_label_with_its_probability() -> None:
    plan = plan_stream(contract(), Wishes())
    label, score = read_answer({"logits": np.array([[0.0, np.log(3.0)]])}, plan)
    assert label == "walk"
    assert score == pytest.approx(0.75)


def test_probabilities_of_the_contract_are_taken_as_they_are() -> None:
    plan = plan_stream(contract(postprocess=(Softmax(tensor="logits"),)), Wishes())
    assert read_answer({"logits": np.array([[0.75, 0.25]])}, plan) == ("sit", 0.75)


def test_without_labels_there_is_no_label() -> None:
    plan = plan_stream(contract(labels=()), Wishes())
    assert read_answer({"logits": np.zeros((1, 2))}, plan) == ("", None)


def test_unnamed_channels_get_numbers() -> None:
    bare = Tensor(name="x", dtype="float32", shape=("batch", 10, 2))
    assert plan_stream(contract(inputs=(bare,)), Wishes()).channels == ("channel0", "channel1")


@pytest.mark.parametrize(
    ("fields", "wishes", "words"),
    [
        ({"rate_hz": None}, Wishes(), "at which rate.*--rate-hz"),
        ({}, Wishes(rate_hz=20.0), "says 50 Hz, you say 20 Hz"),
        (
            {"inputs": (LATENT,)},
            Wishes(),
            r"a stream needs one input \['batch', length, channels\]",
        ),
        (
            {"inputs": (Tensor(name="x", dtype="uint8", shape=("batch", 10, 2)),)},
            Wishes(),
            "is uint8",
        ),
    ],
)
def test_a_model_that_takes_no_windows_is_refused(
    fields: dict[str, object], wishes: Wishes, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        plan_stream(contract(**fields), wishes)


def test_a_user_may_say_hop_and_rate() -> None:
    plan = plan_stream(contract(rate_hz=None), Wishes(hop=3, rate_hz=25.0))
    assert (plan.hop, plan.rate_hz) == (3, 25.0)
