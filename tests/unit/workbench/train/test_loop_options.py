"""Options of the loop that say how it runs, not what is learnt."""

from pathlib import Path

import msgspec
import pytest
import torch

from edgewright.errors import GateError, InputError, ResourceError
from edgewright.testing import FakeClock
from edgewright.testing.recipes import ValueRecipe, value_samples
from edgewright.workbench.train import Progress, RunRecord, TrainOptions, train, train_options
from edgewright.workbench.train.batch_size import largest_that_fits
from edgewright.workbench.train.curves import curve_svg, scatter_svg, thinned
from edgewright.workbench.train.live import LivePage
from edgewright.workbench.train.record import EpochRecord
from edgewright.workbench.train.team import Team

RAW = {"epochs": 6, "batch_size": 16, "lr": 1e-2, "threads": 1, "device": "cpu"}


def run(folder: Path, *, resume: bool = False, told: object = None, **more: object) -> RunRecord:
    samples = value_samples(folder)
    options = train_options(ValueRecipe(), {**RAW, **more}, source="test")
    tell = told if callable(told) else lambda _: None
    return train(
        ValueRecipe(), samples, samples, options, folder / "run", resume=resume, on_progress=tell
    )


class Stopped(Exception):  # noqa: N818 - it is no error
    pass


def test_the_last_checkpoints_stay_and_older_ones_go(tmp_path: Path) -> None:
    run(tmp_path, keep_checkpoints=2)
    kept = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert kept == ["epoch-00005.pt", "epoch-00006.pt"]


def test_fewer_checkpoints_lose_epochs_but_no_bit(tmp_path: Path) -> None:
    whole = run(tmp_path)

    def stop(progress: Progress) -> None:
        if progress.epoch == 6:
            raise Stopped

    with pytest.raises(Stopped):
        run(tmp_path, checkpoint_epochs=4, told=stop)
    seen: list[int] = []
    resumed = run(tmp_path, checkpoint_epochs=4, resume=True, told=lambda p: seen.append(p.epoch))
    assert set(seen) == {5, 6}
    assert resumed.weights == whole.weights


def test_memory_beyond_its_limit_stops_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(GateError, match=r"memory of training in epoch 1 is \d+.* MB, the limit"):
        run(tmp_path, memory_limit_mb=1)


def test_a_batch_size_of_0_is_chosen_and_recorded(tmp_path: Path) -> None:
    assert run(tmp_path, batch_size=0).options.batch_size == 64


def test_the_largest_batch_that_fits_is_found_or_its_absence_named() -> None:
    tried: list[int] = []

    def fits(rows: int) -> bool:
        tried.append(rows)
        return rows <= 100

    assert largest_that_fits(fits, most=10_000) == 64
    assert tried == [8, 16, 32, 64, 128]
    assert largest_that_fits(lambda _: True, most=300) == 256
    with pytest.raises(ResourceError, match="8 rows does not fit"):
        largest_that_fits(lambda _: False, most=300)


def test_a_team_deals_out_even_parts_or_says_that_it_cannot() -> None:
    rows = torch.arange(8)
    parts = [Team(rank=rank, size=2).part(rows).tolist() for rank in range(2)]
    assert parts == [[0, 1, 2, 3], [4, 5, 6, 7]]
    with pytest.raises(InputError, match="a batch of 9 rows cannot be dealt out to 2"):
        Team(size=2).check_batch(9)


def test_seeds_and_groups_of_the_report_do_not_end_a_run_that_goes_on(tmp_path: Path) -> None:
    first = run(tmp_path)
    more = {"seeds": 3, "groups": {"hand": {"left": ("image 0",)}}}
    assert run(tmp_path, resume=True, **more).weights == first.weights


def progress(step: int, *, done: EpochRecord | None = None) -> Progress:
    return Progress(
        epoch=1,
        epochs=2,
        step=step,
        steps=20,
        loss=1.0 / step,
        lr=0.01,
        rows_per_s=500.0,
        memory_mb=123,
        eta_s=90.0,
        epoch_done=done,
    )


def test_the_live_page_is_replaced_at_most_once_a_second(tmp_path: Path) -> None:
    clock = FakeClock()
    page = LivePage(tmp_path / "live.html", name="steps", unit="window", clock=clock)
    page(progress(1))
    first = (tmp_path / "live.html").read_text()
    page(progress(2))
    assert (tmp_path / "live.html").read_text() == first
    clock.advance(1.5)
    page(progress(3))
    second = (tmp_path / "live.html").read_text()
    assert "step 3 of 20" in second
    assert "123 MiB" in second
    assert 'http-equiv="refresh"' in second
    assert "<polyline" in second


def test_the_live_page_ends_with_a_word_and_asks_no_more(tmp_path: Path) -> None:
    page = LivePage(tmp_path / "live.html", name="<steps>", clock=FakeClock())
    record = EpochRecord(
        epoch=1, lr=0.01, train_loss=0.5, val_loss=0.6, val={"accuracy": 0.75, "macro_f1": 0.7}
    )
    page(progress(10, done=record))
    page.end("Done.")
    text = (tmp_path / "live.html").read_text()
    assert "Done." in text
    assert "0.7500" in text
    assert "refresh" not in text
    assert "&lt;steps&gt;" in text
    assert "<steps>" not in text


def test_the_live_page_shows_predicted_against_true(tmp_path: Path) -> None:
    page = LivePage(tmp_path / "live.html", name="ssim", clock=FakeClock())
    record = EpochRecord(epoch=1, lr=0.01, train_loss=0.5, val_loss=0.6, val={"pearson": 0.9})
    page(msgspec.structs.replace(progress(10, done=record), pairs=((0.1, 0.2), (0.9, 0.7))))
    text = (tmp_path / "live.html").read_text()
    assert "predicted (up) against true (across)" in text
    assert text.count("<circle") == 2


def test_a_scatter_leaves_out_what_is_no_number() -> None:
    assert scatter_svg("t", [(float("nan"), 1.0)]) == ""
    svg = scatter_svg("a < b", [(0.0, 1.0), (1.0, 1.0), (float("inf"), 0.0)])
    assert svg.count("<circle") == 2
    assert "a &lt; b" in svg


def test_curves_leave_out_what_is_no_number_and_escape_names() -> None:
    svg = curve_svg("a < b", {"x": [(1, float("nan")), (2, 1.0), (3, 2.0)], "empty": []})
    assert "a &lt; b" in svg
    assert "nan" not in svg
    assert curve_svg("nothing", {"x": []}) == ""
    flat = curve_svg("flat", {"x": [(1, 5.0), (2, 5.0)]})
    assert "polyline" in flat


def test_thinning_keeps_both_ends() -> None:
    points = [(float(n), 0.0) for n in range(1000)]
    few = thinned(points, 10)
    assert len(few) == 10
    assert (few[0], few[-1]) == (points[0], points[-1])


def test_options_of_the_loop_are_checked() -> None:
    with pytest.raises(ValueError, match="keep_checkpoints is 0, expected above 0"):
        msgspec.convert({"keep_checkpoints": 0}, TrainOptions)
