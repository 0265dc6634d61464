from pathlib import Path

import msgspec
import pytest

from edgewright.errors import InputError
from edgewright.workbench.optimize import all_targets, find_target, packaged_targets
from edgewright.workbench.optimize.catalogue import parse_targets
from edgewright.workbench.optimize.recommending import ModelSize, Needs, advise, estimated_size

ASKED_FOR = {
    "rpi4", "rpi5", "rpi5-hailo8", "rpi5-hailo8l", "jetson-nano", "jetson-orin-nano",
    "jetson-orin-nx", "coral-dev-board", "coral-usb", "intel-ncs2", "intel-nuc", "x86-avx2",
    "x86-avx512", "ethos-u55", "ethos-u85", "esp32-s3", "arduino-nano33", "arduino-portenta-h7",
    "aurix-tc4x", "android-phone", "iphone", "aws-inf2", "kria-kv260",
}  # fmt: skip


def test_the_catalogue_knows_the_devices_people_ask_for() -> None:
    names = [target.name for target in packaged_targets()]
    assert set(names) >= ASKED_FOR
    assert len(names) == len(set(names))


def test_every_target_names_its_source_memory_and_formats() -> None:
    for target in packaged_targets():
        assert target.source, target.name
        assert target.memory_bytes > 0, target.name
        assert target.formats, target.name
        assert dict(target.rows())["formats"], target.name


def test_an_unknown_target_suggests_a_known_one() -> None:
    with pytest.raises(InputError, match="did you mean 'rpi5'"):
        find_target("rpi6", packaged_targets())


MINE = b"""
[[targets]]
name = "%s"
summary = "Our board"
architecture = "aarch64"
cpu = "2x Cortex-A35"
memory_mb = 512
formats = ["onnx"]
source = "our own data sheet"
"""


def test_files_add_targets_and_replace_packaged_ones(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(MINE % b"our-board" + MINE % b"rpi4")
    known = all_targets([path])
    assert find_target("our-board", known).memory_mb == 512
    assert find_target("rpi4", known).summary == "Our board"
    assert len(known) == len(packaged_targets()) + 1


def test_an_unknown_key_in_a_file_is_named() -> None:
    with pytest.raises(InputError, match="did you mean 'memory_mb'"):
        parse_targets((MINE % b"a").replace(b"memory_mb", b"memory_md"), source="mine.toml")


TCN = ModelSize(macs=42_000_000, parameters=442_000, largest_activation=25_600)


@pytest.mark.parametrize(
    ("name", "needs", "word"),
    [
        ("arduino-nano33", Needs(memory_mb=0.05), "0.05 MB are allowed"),
        ("esp32-s3", Needs(p95_ms=20), "20 ms are allowed"),
        ("intel-nuc", Needs(power_w=10), "10 W are allowed"),
        ("jetson-orin-nx", Needs(max_price_usd=100), "100 USD are allowed"),
        ("rpi5", Needs(memory_mb=10), "10 MB are allowed"),
    ],
)
def test_a_target_that_does_not_suit_says_which_limit_it_breaks(
    name: str, needs: Needs, word: str
) -> None:
    advice = advise(find_target(name, packaged_targets()), TCN, needs)
    assert not advice.suits
    assert any(word in reason for reason in advice.reasons)


def test_a_target_that_suits_says_how_fast_it_may_be() -> None:
    advice = advise(find_target("rpi5", packaged_targets()), TCN, Needs(p95_ms=50, power_w=15))
    assert advice.suits
    assert advice.latency_ms
    assert advice.latency_ms.low
    assert advice.latency_ms.high
    assert advice.latency_ms.low < advice.latency_ms.value < advice.latency_ms.high < 50
    assert "measure there" in advice.reasons[0]


@pytest.mark.parametrize(
    ("was", "becomes", "words"),
    [
        (b'formats = ["onnx"]', b"formats = []", "no engine format"),
        (b"memory_mb = 512", b"memory_mb = 0", "more than 0"),
        (b"memory_mb = 512", b"memory_mb = -4", "more than 0"),
        (b"memory_mb = 512", b"memory_mb = 512\nghz = -2.0", "below 0"),
        (b"memory_mb = 512", b"memory_mb = 512\npower_w = [9, 1]", "least, most"),
    ],
)
def test_figures_that_no_device_has_are_refused(was: bytes, becomes: bytes, words: str) -> None:
    with pytest.raises(InputError, match=f"mine.toml: our-board: .*{words}"):
        parse_targets((MINE % b"our-board").replace(was, becomes), source="mine.toml")


def test_every_estimate_has_an_interval_that_it_lies_in() -> None:
    size = msgspec.structs.replace(TCN, file_bytes=4 * TCN.parameters + 9_000)
    for target in packaged_targets():
        advice = advise(target, size, Needs())
        for found in (advice.latency_ms, advice.memory_interval_mb, advice.size_mb):
            assert found, target.name
            assert found.low is not None, target.name
            assert found.high is not None, target.name
            assert 0 < found.low < found.value < found.high, target.name
        assert advice.memory_mb == advice.memory_interval_mb.value


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({}, ""),
        ({"largest_activation": 200_000}, "the device has 256 kB"),
        ({"parameters": 1_100_000}, "kB of flash with its engine, the device has 1024 kB"),
    ],
    ids=["fits", "memory", "flash"],
)
def test_weights_of_a_microcontroller_stay_in_its_flash(change: dict[str, int], word: str) -> None:
    size = msgspec.structs.replace(TCN, **change)
    advice = advise(find_target("arduino-nano33", packaged_targets()), size, Needs())
    assert advice.suits == (not word)
    assert any(word in reason for reason in advice.reasons)


def test_integers_in_a_file_are_not_called_smaller_than_they_are() -> None:
    found = estimated_size(ModelSize(macs=1, parameters=0, largest_activation=1, file_bytes=5_000))
    assert (found.low, found.value, found.high) == (0, 5_000, 5_000)


def test_what_a_call_costs_is_no_more_certain_for_a_tiny_model() -> None:
    tiny = ModelSize(macs=100, parameters=50, largest_activation=8)
    for target in packaged_targets():
        found = advise(target, tiny, Needs()).latency_ms
        assert found, target.name
        assert found.low is not None, target.name
        assert found.high is not None, target.name
        assert found.high > 5 * found.low, target.name
