"""Process meters read what the kernel wrote, add up trees, and miss nothing in silence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgewright.errors import AbsentError, InputError, UnavailableError
from edgewright.measure import descendants, listening_pid, read_process, read_tree

TICKS = os.sysconf("SC_CLK_TCK")


def add_process(
    root: Path, pid: int, *, parent: int, rss_kb: int = 1000, cpu_ticks: int = 0, files: int = 3
) -> Path:
    folder = root / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "task" / str(pid)).mkdir(parents=True)
    (folder / "status").write_text(
        f"Name:\tx\nVmHWM:\t{rss_kb * 2} kB\nVmRSS:\t{rss_kb} kB\nThreads:\t2\n"
    )
    (folder / "smaps_rollup").write_text(f"00-ff ---p [rollup]\nPss:\t{rss_kb // 2} kB\n")
    fields = ["S", str(parent), *["0"] * 9, str(cpu_ticks), "0", *["0"] * 30]
    (folder / "stat").write_text(f"{pid} (a name) with ) brackets) {' '.join(fields)}\n")
    (folder / "task" / str(pid) / "schedstat").write_text("5000000000 250000000 7\n")
    for number in range(files):
        (folder / "fd" / str(number)).symlink_to("/dev/null")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "stat").write_text("cpu 0 0 0 0 0 0 0 0\n")
    add_process(tmp_path, 10, parent=1, cpu_ticks=TICKS)
    add_process(tmp_path, 11, parent=10, cpu_ticks=2 * TICKS)
    add_process(tmp_path, 12, parent=11)
    add_process(tmp_path, 99, parent=1)
    return tmp_path


def test_one_process_is_read_although_its_name_holds_brackets(root: Path) -> None:
    reading = read_process(10, root=root)
    assert reading.rss_bytes == 1000 * 1024
    assert reading.pss_bytes == reading.memory_bytes == 500 * 1024
    assert reading.peak_rss_bytes == 2000 * 1024
    assert (reading.cpu_s, reading.threads, reading.open_files) == (1.0, 2, 3)
    assert reading.wait_s == 0.25


def test_a_tree_is_the_sum_of_all_below_it(root: Path) -> None:
    assert descendants(10, root=root) == (11, 12)
    reading = read_tree(10, root=root)
    assert (reading.processes, reading.cpu_s, reading.open_files) == (3, 3.0, 9)
    assert reading.pss_bytes == 1500 * 1024
    assert reading.wait_s == 0.75


def test_pss_and_files_of_another_users_process_are_unknown_not_zero(root: Path) -> None:
    (root / "11" / "smaps_rollup").unlink()
    reading = read_tree(10, root=root)
    assert reading.pss_bytes is None
    assert reading.memory_bytes == reading.rss_bytes == 3000 * 1024


def test_a_process_that_has_ended_is_an_input_error(root: Path) -> None:
    with pytest.raises(InputError, match="no process 77"):
        read_process(77, root=root)


def test_a_process_that_only_waits_to_be_buried_has_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(AbsentError, match=f"no process {ended.pid}"):
            read_tree(ended.pid)


def test_a_system_without_procfs_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="no procfs"):
        read_process(1, root=tmp_path)


def test_the_process_behind_a_port_is_found_by_its_socket(root: Path) -> None:
    (root / "net").mkdir()
    (root / "net" / "tcp").write_text(
        "  sl  local_address rem_address   st\n"
        "   0: 0100007F:1F90 00000000:0000 0A 0:0 0:0 0 0 0 4242 1\n"
        "   1: 0100007F:1F91 0100007F:0050 01 0:0 0:0 0 0 0 4243 1\n"
    )
    (root / "12" / "fd" / "9").symlink_to("socket:[4242]")
    assert listening_pid(8080, root=root) == 12
    assert listening_pid(8081, root=root) is None
    assert listening_pid(9, root=root) is None
