"""Updates that arrive as patches, and lines that break."""

from typing import Any

import pytest

from edgewright.bundle import open_bundle
from edgewright.bundle.patch import encode_patch
from edgewright.errors import TransportError


def offered(device: Any, version: str) -> Any:
    path = device.bundle(version, filler_bytes=50_000)
    device.fleet.offer(path)
    return open_bundle(path)


def taken(device: Any, play: Any) -> str:
    play(device.agent.follow_once())
    return str(device.current)


def test_a_patch_from_the_active_bundle_is_taken(device: Any, play: Any) -> None:
    old = offered(device, "1")
    taken(device, play)
    new, before = offered(device, "2"), device.fleet.sent_bytes
    device.fleet.patches[new.id] = encode_patch(old, new)
    assert taken(device, play) == new.id
    assert device.fleet.patches_asked == [(old.id, new.id)]
    assert device.fleet.sent_bytes - before == len(device.fleet.patches[new.id])
    assert list(device.home.downloads.glob("*")) == []
    reasons = [line.progress.reason for line in device.agent.recorder.journal.lines]
    assert any("as a patch" in reason for reason in reasons)


def test_a_wrong_patch_costs_the_whole_file_and_nothing_else(device: Any, play: Any) -> None:
    old = offered(device, "1")
    taken(device, play)
    new, other = offered(device, "2"), device.bundle("3", filler_bytes=50_000)
    device.fleet.patches[new.id] = encode_patch(old, open_bundle(other))
    assert taken(device, play) == new.id
    assert device.progress().bad == ()
    assert list(device.home.downloads.glob("*")) == []


def test_a_line_that_is_cut_again_and_again_brings_the_file(device: Any, play: Any) -> None:
    new = offered(device, "1")
    device.fleet.cut_after_bytes = 7000
    assert taken(device, play) == new.id
    assert device.fleet.sent_bytes == new.path.stat().st_size


def test_a_patch_is_resumed_too(device: Any, play: Any) -> None:
    old = offered(device, "1")
    taken(device, play)
    new, before = offered(device, "2"), device.fleet.sent_bytes
    device.fleet.patches[new.id] = encode_patch(old, new)
    device.fleet.cut_after_bytes = 500
    assert taken(device, play) == new.id
    assert device.fleet.sent_bytes - before == len(device.fleet.patches[new.id])


def test_a_line_that_brings_nothing_is_given_up_and_blames_nobody(device: Any, play: Any) -> None:
    offered(device, "1")
    device.fleet.cut_after_bytes = 0
    with pytest.raises(TransportError):
        taken(device, play)
    assert device.progress().bad == ()
