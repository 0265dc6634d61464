"""A candidate that nobody asks is asked by the agent itself, and compared with the old model."""

from typing import Any

import msgspec
import pytest

from edgewright.device.agent import Answer, ServingSample
from edgewright.errors import DeviceError, EdgewrightError, ResourceError
from edgewright.testing.bundles import MODEL
from edgewright.testing.device import FakeReplay

GOOD = Answer(latency_ms=10.0)
LOST = Answer(problem="no answer within 5 s")
SLOW = Answer(latency_ms=20.0)
NAN = Answer(problem="status 500: output 'y' holds NaN", is_wrong=True)

BAD = {
    "hangs at once": ([LOST], "no answer within 5 s"),
    "hangs after 30": ([GOOD] * 30 + [LOST], "no answer within 5 s"),
    "NaN after 100": ([GOOD] * 100 + [NAN], "NaN"),
    "answers wrongly once": ([GOOD] * 30 + [NAN, GOOD], "NaN"),
    "twice as slow": ([SLOW], "blocks of answers are slow"),
    "a third of it three times as slow": (
        ([GOOD] * 2 + [Answer(latency_ms=30.0)]) * 200,
        "blocks of answers are slow",
    ),
}


@pytest.fixture
def watched(device: Any) -> Any:
    """A device on which golden requests can be sent."""
    device.replay = FakeReplay()
    device.probation_s = 60.0
    device.start()
    return device


def next_bundle(device: Any, play: Any, version: str) -> tuple[Any, str]:
    path = device.bundle(version)
    return path, play(device.agent.release_of(path)).bundle_id


def test_a_good_candidate_is_compared_with_the_old_model_and_commits(
    watched: Any, play: Any
) -> None:
    old = play(watched.install("1"))
    new = play(watched.install("2"))
    assert watched.replay.asked == [old, old, new]
    assert watched.current == new
    baselines = [line.progress.baseline for line in watched.agent.recorder.journal.lines]
    assert baselines[-1].answers == 60
    assert baselines[-1].median_ms == 10.0


@pytest.mark.parametrize("kind", sorted(BAD))
def test_a_bad_candidate_is_noticed_though_no_client_asks(
    watched: Any, play: Any, kind: str
) -> None:
    old = play(watched.install("1"))
    path, bundle = next_bundle(watched, play, "2")
    watched.replay.told[bundle], reason = BAD[kind]
    watched.probation_s = 200.0
    watched.start()
    with pytest.raises(DeviceError, match=reason):
        play(watched.agent.apply(path))
    assert watched.current == watched.served == old
    assert reason in watched.progress().bad[0].reason


@pytest.mark.parametrize("answers", [[LOST, GOOD], [GOOD, LOST, LOST, GOOD]])
def test_single_lost_answers_refuse_nobody(watched: Any, play: Any, answers: Any) -> None:
    play(watched.install("1"))
    path, bundle = next_bundle(watched, play, "2")
    watched.replay.told[bundle] = answers
    play(watched.agent.apply(path))
    assert watched.current == bundle


def test_a_replay_that_cannot_run_rolls_back_and_blames_nobody(watched: Any, play: Any) -> None:
    old = play(watched.install("1"))
    path, bundle = next_bundle(watched, play, "2")
    watched.replay.told[bundle] = [ResourceError("no process can be started")]
    with pytest.raises(EdgewrightError, match="no process"):
        play(watched.agent.apply(path))
    assert watched.current == old
    assert watched.progress().bad == ()


def test_an_old_model_that_cannot_be_asked_blocks_no_update(watched: Any, play: Any) -> None:
    old = play(watched.install("1"))
    watched.replay.told[old] = [ResourceError("no process can be started")]
    new = play(watched.install("2"))
    assert watched.current == new


def test_more_errors_than_the_old_model_had_are_refused_below_the_limit(
    watched: Any, play: Any
) -> None:
    good = play(watched.install("1"))
    before = ServingSample(is_ready=True, requests=100_000, errors=10)
    first = ServingSample(is_ready=True)
    now = ServingSample(is_ready=True, requests=20_000, errors=160)
    watched.server.samples = [before, first, now]
    with pytest.raises(DeviceError, match="of the old model 10 of 100000"):
        play(watched.install("2"))
    assert watched.current == good


def cut_in_probation(watched: Any, play: Any) -> str:
    """The agent dies when it enters the probation of version 2."""
    path, bundle = next_bundle(watched, play, "2")
    write = watched.agent.tools.write

    class CutError(Exception):
        pass

    def cut(progress: Any) -> None:
        write(progress)
        if progress.state == "probation":
            raise CutError

    watched.agent.tools = msgspec.structs.replace(watched.agent.tools, write=cut)
    with pytest.raises(CutError):
        play(watched.agent.apply(path))
    return str(bundle)


def test_a_command_without_a_server_commits_nothing_in_its_probation(
    watched: Any, play: Any
) -> None:
    good = play(watched.install("1"))
    bundle = cut_in_probation(watched, play)
    watched.start()
    watched.server.is_on = False
    play(watched.agent.settle())
    assert (watched.current, watched.progress(MODEL).good) == (good, good)
    assert watched.progress(MODEL).bad == ()
    watched.server.is_on = True
    watched.start()
    assert play(watched.install("2")) == bundle


def test_figures_of_the_old_model_survive_a_cut(watched: Any, play: Any) -> None:
    play(watched.install("1"))
    bundle = cut_in_probation(watched, play)
    watched.replay.told[bundle] = [SLOW]
    watched.probation_s = 200.0
    watched.start()
    play(watched.agent.settle())
    assert "slow" in watched.progress(MODEL).bad[0].reason
