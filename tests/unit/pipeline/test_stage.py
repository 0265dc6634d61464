from pathlib import Path

import pytest

from edgewright.testing import FakeClock
from edgewright.workbench.pipeline.manifests import StageStore
from edgewright.workbench.pipeline.stage import (
    Facts,
    Stage,
    StageEvent,
    Walk,
    Workshop,
    walk_stages,
)


class Kitchen:
    """Two stages whose runs are counted: `boil` writes a number, `serve` doubles it."""

    def __init__(self, root: Path) -> None:
        self.walk = Walk(store=root, clock=FakeClock(), watch=self.watch)
        self.ran: list[str] = []
        self.events: list[StageEvent] = []
        self.water = "2"
        self.fails = False

    def watch(self, event: StageEvent) -> None:
        self.events.append(event)

    def boil(self, workshop: Workshop) -> Facts:
        self.ran.append("boil")
        (workshop.folder / "deep").mkdir()
        (workshop.folder / "deep" / "pot").write_text(self.water)
        workshop.tell(0.5, "bubbling")
        return {"grams": 3}

    def serve(self, workshop: Workshop) -> Facts:
        self.ran.append("serve")
        (workshop.folder / "plate").write_text(workshop.output("boil", "deep/pot").read_text() * 2)
        if self.fails:
            raise RuntimeError
        return {}

    def stages(self) -> list[Stage]:
        return [
            Stage(
                name="boil",
                follows=(),
                rooms=("clock.py",),
                libraries=("msgspec",),
                options={"water": self.water},
                run=self.boil,
            ),
            Stage(
                name="serve",
                follows=("boil",),
                rooms=("clock.py",),
                libraries=(),
                options={},
                run=self.serve,
            ),
        ]

    def go(self, **changes: str) -> list[str]:
        from dataclasses import replace

        self.ran.clear()
        self.finished = walk_stages(self.stages(), replace(self.walk, **changes))
        return list(self.ran)


@pytest.fixture
def kitchen(tmp_path: Path) -> Kitchen:
    return Kitchen(tmp_path / ".edgewright")


def test_nothing_runs_twice_when_nothing_changed(kitchen: Kitchen) -> None:
    assert kitchen.go() == ["boil", "serve"]
    assert kitchen.finished["serve"].output("plate").read_text() == "22"
    assert kitchen.go() == []
    assert kitchen.finished["serve"].output("plate").read_text() == "22"
    assert [e.state for e in kitchen.events][-2:] == ["unchanged", "unchanged"]


def test_a_changed_option_runs_its_stage_and_all_that_follow(kitchen: Kitchen) -> None:
    kitchen.go()
    kitchen.water = "3"
    assert kitchen.go() == ["boil", "serve"]
    kitchen.water = "2"
    assert kitchen.go() == [], "the first outcome is still there"


def test_start_forces_from_a_stage_on_and_stop_ends_after_one(kitchen: Kitchen) -> None:
    assert kitchen.go(stop="boil") == ["boil"]
    assert kitchen.go() == ["serve"]
    kitchen.walk.clock.advance(60)  # type: ignore[attr-defined]
    assert kitchen.go(start="serve") == ["serve"]
    assert kitchen.go(start="boil") == ["boil", "serve"]
    assert kitchen.go() == []


def test_a_stage_that_failed_goes_on_at_its_desk_unless_it_is_forced(
    kitchen: Kitchen, tmp_path: Path
) -> None:
    kitchen.fails = True
    with pytest.raises(RuntimeError):
        kitchen.go()
    (desk,) = (tmp_path / ".edgewright" / "desks").glob("serve-*")
    (desk / "half").write_text("done")
    with pytest.raises(RuntimeError):
        kitchen.go()
    assert (desk / "half").exists()
    with pytest.raises(RuntimeError):
        kitchen.go(start="serve")
    assert not (desk / "half").exists()
    kitchen.fails = False
    kitchen.go()
    assert not desk.exists()


def test_an_output_changed_by_hand_is_made_again(kitchen: Kitchen) -> None:
    kitchen.go()
    kitchen.finished["boil"].output("deep/pot").write_text("7")
    assert kitchen.go()[0] == "boil"
    assert kitchen.finished["serve"].output("plate").read_text() == "22"


def test_a_failed_stage_leaves_no_folder_and_runs_again(kitchen: Kitchen, tmp_path: Path) -> None:
    kitchen.fails = True
    with pytest.raises(RuntimeError):
        kitchen.go()
    assert list((tmp_path / ".edgewright" / "stages" / "serve").iterdir()) == []
    kitchen.fails = False
    assert kitchen.go() == ["serve"]


def test_leftovers_of_a_killed_run_are_cleared(kitchen: Kitchen, tmp_path: Path) -> None:
    kitchen.go()
    folder = kitchen.finished["boil"].folder
    (folder.parent / ".tmp-cut").mkdir()
    folder.rename(folder.with_name(f"{folder.name}.new"))
    assert kitchen.go()[0] == "boil"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_lineage_leads_from_the_last_stage_back_to_the_first(
    kitchen: Kitchen, tmp_path: Path
) -> None:
    kitchen.go()
    store = StageStore(tmp_path / ".edgewright")
    last = kitchen.finished["serve"].manifest
    first = store.manifest(last.inputs["boil"])
    assert first == kitchen.finished["boil"].manifest
    assert first.facts == {"grams": 3}
    assert set(first.outputs) == {"deep/pot"}


def test_progress_reaches_the_watcher(kitchen: Kitchen) -> None:
    kitchen.go()
    assert ("boil", "progress", 0.5, "bubbling") in [
        (e.stage, e.state, e.fraction, e.text) for e in kitchen.events
    ]
