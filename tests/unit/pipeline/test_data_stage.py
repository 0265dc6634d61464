"""What the data stage looks at before it says that nothing changed."""

from pathlib import Path

import pytest

from edgewright.testing import FakeClock
from edgewright.workbench.pipeline.project import Project
from edgewright.workbench.pipeline.stages.data import data_stage
from edgewright.workbench.pipeline.stages.plan import Plan
from edgewright.workbench.recipes import find_recipe


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    for who in ("ann", "bob"):
        (tmp_path / "in" / who).mkdir(parents=True)
        (tmp_path / "in" / who / "1.csv").write_text(f"t,ax\n0,{len(who)}\n")
    raw = {"name": "har", "source": "in"}

    def nothing(_: object) -> None:
        raise AssertionError

    return Plan(
        folder=tmp_path,
        project=Project(schema_version=1, name="p", recipe=raw),
        recipe=find_recipe("har").with_options({"source": "in"}, source="[recipe]"),
        engine=nothing,  # type: ignore[arg-type]
        signer=nothing,  # type: ignore[arg-type]
        command="",
        clock=FakeClock(),
    )


def test_files_of_one_name_in_two_folders_are_both_read(plan: Plan) -> None:
    before = data_stage(plan).reads()
    assert sorted(before) == ["in/ann/1.csv", "in/bob/1.csv"]
    (plan.folder / "in" / "ann" / "1.csv").write_text("t,ax\n0,7\n")
    assert data_stage(plan).reads() != before


def test_a_file_that_moved_to_another_folder_is_another_source(plan: Plan) -> None:
    before = data_stage(plan).reads()
    (plan.folder / "in" / "eve").mkdir()
    (plan.folder / "in" / "ann" / "1.csv").rename(plan.folder / "in" / "eve" / "1.csv")
    assert data_stage(plan).reads() != before


def test_the_files_that_an_export_points_at_count(plan: Plan) -> None:
    (plan.folder / "in" / "ann" / "export.json").write_text("[]")
    recipe = plan.recipe.with_options({"source": "in/ann/export.json"}, source="[recipe]")
    assert [path.name for path in recipe.sources(plan.folder)] == ["export.json", "1.csv"]
