"""A second place for checkpoints that comes and goes."""

import logging
from pathlib import Path

import pytest

from edgewright.errors import InputError, TransportError
from edgewright.stores import FolderObjects
from edgewright.workbench.data import Dataset
from edgewright.workbench.recipes.har import HarOptions, HarRecipe
from edgewright.workbench.train import Progress, TrainOptions, train
from edgewright.workbench.train.mirror import Mirror

IDENTITY = "0123456789abcdef" * 4
OPTIONS = TrainOptions(epochs=3, batch_size=16, threads=1, device="cpu")
RECIPE = HarRecipe(HarOptions(widths=(8, 16), latent=8, hop_s=0.5))


class Away(FolderObjects):
    """A drive that is away for its first writes."""

    def __init__(self, root: Path, *, fails: int) -> None:
        super().__init__(root)
        self.fails = fails

    def put(self, name: str, content: bytes) -> None:
        if self.fails > 0:
            self.fails -= 1
            raise TransportError("the drive is away")
        super().put(name, content)


class Stopped(Exception):  # noqa: N818 - it is no error
    pass


def stop_in_epoch_3(progress: Progress) -> None:
    if progress.epoch == 3:
        raise Stopped


def test_the_newest_checkpoint_arrives_and_older_ones_go(tmp_path: Path) -> None:
    with Mirror(FolderObjects(tmp_path), IDENTITY) as mirror:
        for epochs in (1, 2, 3):
            mirror.offer(epochs, b"checkpoint %d" % epochs)
    assert mirror.problem == ""
    assert Mirror(FolderObjects(tmp_path), IDENTITY).newest() == (3, b"checkpoint 3")
    assert len(FolderObjects(tmp_path).names()) == 2


def test_it_arrives_when_the_place_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.INFO, logger="edgewright"),
        Mirror(Away(tmp_path, fails=2), IDENTITY) as mirror,
    ):
        mirror.offer(1, b"kept")
    assert mirror.problem == ""
    assert mirror.newest() == (1, b"kept")
    said = [record.message for record in caplog.records]
    assert said == ["mirror: the drive is away; training goes on", "mirror: it is back"]


def test_a_place_that_stays_away_is_named_at_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Mirror(Away(tmp_path, fails=10**6), IDENTITY, patience_s=0.2) as mirror:
        mirror.offer(1, b"lost")
    assert "the drive is away" in mirror.problem
    assert "the newest checkpoint is not there" in caplog.text


def test_what_was_damaged_there_is_not_taken(tmp_path: Path) -> None:
    with Mirror(FolderObjects(tmp_path), IDENTITY) as mirror:
        mirror.offer(1, b"whole")
    (tmp_path / IDENTITY[:32] / "checkpoint-00001.pt").write_bytes(b"torn")
    with pytest.raises(InputError, match=r"checkpoint-00001\.pt is not what latest\.json says"):
        mirror.newest()


def test_a_run_goes_on_from_the_mirror_on_another_machine(tmp_path: Path, dataset: Dataset) -> None:
    sets = RECIPE.cut(dataset, ("1", "2", "3")), RECIPE.cut(dataset, ("4", "5"))
    drive = tmp_path / "drive"
    drive.mkdir()
    whole = train(RECIPE, *sets, OPTIONS, tmp_path / "whole")
    with pytest.raises(Stopped):
        train(
            RECIPE,
            *sets,
            OPTIONS,
            tmp_path / "first",
            on_progress=stop_in_epoch_3,
            mirror=FolderObjects(drive),
        )
    seen: list[int] = []
    there = train(
        RECIPE,
        *sets,
        OPTIONS,
        tmp_path / "second",
        resume=True,
        on_progress=lambda p: seen.append(p.epoch),
        mirror=FolderObjects(drive),
    )
    assert there.weights == whole.weights
    assert set(seen) == {3}


def test_a_mirror_that_is_away_never_makes_a_run_begin_anew(
    tmp_path: Path, dataset: Dataset
) -> None:
    sets = RECIPE.cut(dataset, ("1", "2", "3")), RECIPE.cut(dataset, ("4", "5"))
    away = FolderObjects(tmp_path / "not mounted")
    with pytest.raises(TransportError, match="is not there"):
        train(RECIPE, *sets, OPTIONS, tmp_path / "run", resume=True, mirror=away)
    train(RECIPE, *sets, OPTIONS, tmp_path / "run")
    again = train(RECIPE, *sets, OPTIONS, tmp_path / "run", resume=True, mirror=away)
    assert len(again.epochs) == 3
