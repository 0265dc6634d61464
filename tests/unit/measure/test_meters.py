"""Machine, noise and energy: read from files that look like a board's, never invented."""

from pathlib import Path

import pytest

from edgewright.errors import UnavailableError
from edgewright.measure import (
    NoiseReading,
    Thermal,
    describe_machine,
    noise_between,
    open_energy_meter,
    read_noise,
    read_thermal,
)
from edgewright.measure.noise import read_frequencies
from edgewright.measure.thermal import throttled_between


def test_a_raspberry_pi_is_named_by_its_firmware(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor: 0\nFeatures: fp asimd asimddp\nCPU part: 0xd0b\n")
    (tmp_path / "meminfo").write_text("MemTotal:  8000000 kB\n")
    (tmp_path / "os").write_text('PRETTY_NAME="Debian 12"\n')
    (tmp_path / "model").write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    machine = describe_machine(
        proc=tmp_path, os_release=tmp_path / "os", device_tree_model=tmp_path / "model"
    )
    assert machine.board == "Raspberry Pi 5 Model B Rev 1.0"
    assert machine.cpu == "Cortex-A76"
    assert machine.flags == ("asimd", "asimddp")
    assert (machine.memory_mb, machine.os) == (7812, "Debian 12")


def test_what_no_file_says_stays_empty(tmp_path: Path) -> None:
    machine = describe_machine(
        proc=tmp_path, os_release=tmp_path / "os", device_tree_model=tmp_path / "model"
    )
    assert (machine.board, machine.memory_mb, machine.flags) == ("", 0, ())


def reading(at_s: float, **changes: float) -> NoiseReading:
    base = {"wall_at_s": at_s, "busy_s": 0.0, "steal_s": 0.0, "watched_s": 0.0, "waited_s": 0.0}
    return NoiseReading(at_s=at_s, **{**base, **changes})


def test_noise_is_what_others_took_and_what_it_cost_us() -> None:
    noise = noise_between(
        reading(0.0),
        reading(10.0, busy_s=14.0, watched_s=6.0, waited_s=2.0, steal_s=1.0),
        cores=2,
    )
    assert (noise.steal_share, noise.others_share, noise.wait_share) == (0.05, 0.4, 0.25)


def test_a_wall_clock_that_steps_is_told_and_changes_no_share() -> None:
    noise = noise_between(reading(0.0), reading(10.0, wall_at_s=3610.0), cores=2)
    assert noise.clock_step_s == 3600.0
    assert (noise.seconds, noise.others_share) == (10.0, 0.0)


def test_noise_of_this_machine_can_be_read() -> None:
    noise = noise_between(read_noise(), read_noise())
    assert 0.0 <= noise.steal_share <= 1.0
    assert noise.clock_step_s == pytest.approx(0.0, abs=0.5)


def test_frequencies_come_from_the_kernel_or_not_at_all(tmp_path: Path) -> None:
    assert read_frequencies(sys_cpu=tmp_path) == ()
    for core, khz in ((0, 600_000), (1, 2_400_000)):
        (tmp_path / f"cpu{core}" / "cpufreq").mkdir(parents=True)
        (tmp_path / f"cpu{core}" / "cpufreq" / "scaling_cur_freq").write_text(f"{khz}\n")
    assert read_frequencies(sys_cpu=tmp_path) == (600.0, 2400.0)


def test_rapl_counts_on_when_its_counter_wraps(tmp_path: Path) -> None:
    domain = tmp_path / "intel-rapl:0"
    domain.mkdir()
    (domain / "name").write_text("package-0\n")
    (domain / "max_energy_range_uj").write_text("10000000\n")
    (domain / "energy_uj").write_text("9000000\n")
    meter = open_energy_meter(powercap=tmp_path, hwmon=tmp_path / "none")
    (domain / "energy_uj").write_text("1000000\n")
    assert meter.joules() == pytest.approx(2.0)
    (domain / "energy_uj").write_text("3000000\n")
    assert meter.joules() == pytest.approx(4.0)
    assert meter.source == "RAPL package-0"


def test_energy_without_a_counter_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="no energy counter"):
        open_energy_meter(powercap=tmp_path / "a", hwmon=tmp_path / "b")


def test_heat_is_read_where_it_is_shown(tmp_path: Path) -> None:
    for name, text in (("zone0", "48200"), ("zone1", "-273000"), ("zone2", "hot")):
        folder = tmp_path / "class/thermal" / f"thermal_{name}"
        folder.mkdir(parents=True)
        (folder / "temp").write_text(text)
    counter = tmp_path / "devices/system/cpu/cpu0/thermal_throttle/core_throttle_count"
    counter.parent.mkdir(parents=True)
    counter.write_text("3")
    before = read_thermal(root=tmp_path)
    assert before == Thermal(temperatures_c=(48.2,), events=3)
    counter.write_text("5")
    assert throttled_between(before, read_thermal(root=tmp_path)) == 2
    assert throttled_between(Thermal(), Thermal()) is None


def test_a_raspberry_pi_says_when_it_is_slowed_down(tmp_path: Path) -> None:
    word = tmp_path / "devices/platform/soc/soc:firmware/get_throttled"
    word.parent.mkdir(parents=True)
    word.write_text("50000\n")
    cool = read_thermal(root=tmp_path)
    word.write_text("50005\n")
    hot = read_thermal(root=tmp_path)
    assert (cool.is_slowed, hot.is_slowed) == (False, True)
    assert throttled_between(cool, hot) == 1
