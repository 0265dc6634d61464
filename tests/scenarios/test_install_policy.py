"""A device that asks for measured figures before it lets a bundle in."""

from pathlib import Path
from typing import Any

import pytest
from tests.scenarios.conftest import SIGNER, Device

from edgewright.bundle import open_bundle
from edgewright.bundle.build import extend_bundle
from edgewright.bundle.provenance import MEMBER, Measurement, attest
from edgewright.contract import Evidence
from edgewright.errors import TrustError

POLICY = """
schema_version = 1
board = "Board A"

[[rules]]
figure = "latency p95"
below = 50
on_this_board = true
"""


def attested(device: Device, version: str, p95_ms: float) -> Path:
    path = device.bundle(version)
    evidence = Evidence(
        name="latency p95",
        value=p95_ms,
        unit="ms",
        how="400 requests",
        where="Board A rev 2",
        when="2026-11-25T10:00:00Z",
        on="tiny",
    )
    measured = [Measurement(figure=evidence, board="Board A rev 2")]
    content = attest(open_bundle(path).manifest, measured, SIGNER, when="2026-11-25T10:00:00Z")
    extend_bundle(path, path, [("evidence", MEMBER, content)], signers=[SIGNER])
    return path


def test_a_bundle_that_misses_the_devices_policy_is_refused_with_the_figure(
    device: Device, play: Any
) -> None:
    device.home.policy_path.write_text(POLICY)
    good = attested(device, "1", 31.0)
    play(device.agent.apply(good))
    for version, path, match in (
        ("2", attested(device, "2", 61.0), "latency p95 is 61 ms, expected below 50"),
        ("3", device.bundle("3"), "carries no provenance"),
    ):
        with pytest.raises(TrustError, match=match):
            play(device.agent.apply(path))
        assert device.current == device.served == open_bundle(good).id, version
        assert device.slots() == {open_bundle(good).id}
    assert "61 ms" in device.progress().bad[0].reason


def test_what_was_committed_before_the_policy_is_still_returned_to(
    device: Device, play: Any
) -> None:
    first = play(device.install("1"))
    device.home.policy_path.write_text(POLICY)
    play(device.agent.apply(attested(device, "2", 31.0)))
    play(device.agent.go_back("told", device.update()))
    assert device.current == first


def test_a_policy_that_cannot_be_read_lets_nothing_in_and_blames_no_release(
    device: Device, play: Any
) -> None:
    device.home.policy_path.write_text("schema_version = 1\nrulez = 1")
    with pytest.raises(TrustError, match="rulez"):
        play(device.agent.apply(device.bundle("1")))
    assert device.current == ""
    assert device.progress().bad == ()
    device.home.policy_path.write_text("schema_version = 1")
    play(device.install("1"))
