"""A slice of `make prove SUITE=agent_faults`."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.long


@pytest.fixture(scope="session")
def faults(bench_script: Callable[[str], ModuleType]) -> ModuleType:
    return bench_script("_agent_faults")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("fault", "count"), [("signal=SIGKILL", 12), ("error=ENOSPC", 4), ("error=EIO", 4)]
)
def test_one_verified_model_stays_when_a_call_fails(
    faults: ModuleType, tmp_path: Path, long_slice: Any, fault: str, count: int
) -> None:
    if shutil.which("strace") is None:
        pytest.skip("absent: strace (Debian package strace)")
    rig = faults.make_rig(tmp_path)
    points = faults.list_points(rig)
    assert {point.state for point in points} >= {"download", "stage", "activate", "commit"}
    wrong = [
        line
        for point in long_slice.pick(points, count)
        for line in faults.check_point(rig, point, fault)
    ]
    assert wrong == []


@pytest.mark.timeout(300)
def test_a_torn_journal_is_survived_in_every_state(
    faults: ModuleType, tmp_path: Path, long_slice: Any
) -> None:
    if shutil.which("strace") is None:
        pytest.skip("absent: strace (Debian package strace)")
    rig = faults.make_rig(tmp_path)
    tears = faults.list_tears(faults.list_points(rig))
    assert [line for t in long_slice.pick(tears, 3) for line in faults.check_tear(rig, t)] == []


@pytest.mark.timeout(300)
def test_a_flipped_bit_of_a_slot_is_caught_before_it_is_loaded(
    faults: ModuleType, tmp_path: Path, long_slice: Any
) -> None:
    rig = faults.make_rig(tmp_path)
    flips = faults.list_flips(rig)
    assert [line for f in long_slice.pick(flips, 3) for line in faults.check_flip(rig, f)] == []


@pytest.mark.timeout(600)
def test_a_power_cut_on_a_disk_that_forgets_leaves_one_verified_model(
    bench_script: Callable[[str], ModuleType], tmp_path: Path, long_slice: Any
) -> None:
    """Needs root: the disk is a mounted one."""
    if why := bench_script("_power_disk").why_unavailable():
        pytest.skip(why)
    power = bench_script("_agent_power")
    wrong = []
    for scene in power.make_scenes(tmp_path / "scenes"):
        cuts = power.list_cuts(scene, tmp_path)
        last = [cut for cut in cuts if cut.is_after_all and cut.loss == "forgets"]
        for cut in [*long_slice.pick(cuts, 2), *last]:
            wrong += power.check_cut(cut, tmp_path / "case")
    assert wrong == []


@pytest.mark.timeout(600)
def test_an_agent_killed_beside_its_server_leaves_answers_and_comes_to_its_end(
    bench_script: Callable[[str], ModuleType], tmp_path: Path, long_slice: Any
) -> None:
    if shutil.which("strace") is None:
        pytest.skip("absent: strace (Debian package strace)")
    served = bench_script("_agent_served")
    cases = {
        scene.name: served.one_per_state(served.list_cases(scene))
        for scene in served.scenes_alone(tmp_path / "served")
    }
    states = {case.point.state for case in cases["file"]}
    assert states >= {"idle", "download", "stage", "probe", "activate", "probation", "commit"}
    counts = {"start": 1, "file": 3, "rollback": 1}
    chosen = [case for name, some in cases.items() for case in long_slice.pick(some, counts[name])]
    findings = [served.check_case(case) for case in chosen]
    assert [line for finding in findings for line in finding.wrong] == []
    assert all(finding.answered for finding in findings)
