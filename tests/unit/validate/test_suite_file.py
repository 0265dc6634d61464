"""The suite file: what it says, what it refuses, and what becomes of it."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.chain.suite import run_scenes
from edgewright.chain.validation_suite import order_of, orders_of, read_suite
from edgewright.contract import encode_json
from edgewright.errors import InputError
from edgewright.validate.suite import (
    Limits,
    Load,
    Machine,
    Reports,
    Scene,
    Server,
    Suite,
    Truth,
    decode_suite,
)
from edgewright.validate.ways import JsonWay

TEXT = b"""
target = "model.ewb"
attempts = 2

[limits]
p95_ms = 50
min_accuracy = 95

[truth]
labelled = "test.npz"
reference = "http://127.0.0.1:8000"

[load]
rps = 250
seconds = 5
early_stop = true

[[scenarios]]
name = "server"
p95_ms = 40

[[scenarios]]
name = "offline"
seconds = 9
early_stop = false

[reports]
html = "out/report.html"
"""


def no_engine(_: Path) -> None:
    raise AssertionError


def written(tmp_path: Path, content: bytes, name: str = "suite.toml") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_each_scenario_gets_the_load_and_limits_that_it_does_not_change(tmp_path: Path) -> None:
    suite = read_suite(written(tmp_path, TEXT))
    server, offline = orders_of(suite, JsonWay(), engine=no_engine)
    assert (server.scenario, offline.scenario) == ("server", "offline")
    assert (server.p95_ms, offline.p95_ms) == (40, 50)
    assert (server.seconds, offline.seconds) == (5, 9)
    assert (server.stops_early, offline.stops_early) == (True, False)
    assert server.rate_rps == offline.rate_rps == 250
    assert server.attempts == 2
    assert server.accuracy.min_percent == 95


def test_paths_are_the_files_neighbours_and_urls_stay(tmp_path: Path) -> None:
    suite = read_suite(written(tmp_path, TEXT))
    assert suite.target == str(tmp_path / "model.ewb")
    assert suite.truth.labelled == str(tmp_path / "test.npz")
    assert suite.truth.reference == "http://127.0.0.1:8000"
    assert suite.reports.html == str(tmp_path / "out/report.html")
    for target in ("ssh://pi@gate", "unix:/run/x.sock", "device:press-7"):
        content = f"target = '{target}'".encode()
        assert read_suite(written(tmp_path, content)).target == target


def test_without_scenarios_the_command_line_chooses() -> None:
    suite = Suite(target="m.ewb", load=Load(seconds=1))
    assert order_of(suite, "", JsonWay(), engine=no_engine).scenario == "single-stream"
    assert order_of(suite, "offline", JsonWay(), engine=no_engine).scenario == "offline"
    replay = Suite(target="m.ewb", load=Load(recording="t.jsonl"))
    assert order_of(replay, "", JsonWay(), engine=no_engine).scenario == "replay"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[limits]\np95 = 3", "unknown key 'limits.p95'; did you mean 'p95_ms'?"),
        (b"[limits]\np95_ms = 'fast'", "expected `float | null`, got `str` at 'limits.p95_ms'"),
        (b"[limits]\nmin_accuracy = 120", "min_accuracy is 120, expected 0 to 100 at 'limits'"),
        (b"[load]\nrps = 0", "rps is 0, expected above 0 at 'load'"),
        (b"[load]\nseconds = inf", "seconds is inf, expected 0.1 or more"),
        (b"attempts = 0", "attempts is 0, expected 1 or more"),
        (b"schema_version = 2", "schema_version is 2, expected 1"),
        (b"wire = 'xml'", "wire is 'xml', expected json, binary, grpc"),
        (b"[[scenarios]]\nname = 'ofline'", "no scenario 'ofline'; did you mean 'offline'?"),
        (b"[[scenarios]]\nseconds = 3", "missing required field `name` at 'scenarios[0]'"),
        (b"[[scenarios]]\nname = 'server'\nrsp = 3", "did you mean 'rps'?"),
        (b"[limits\n", "not valid TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_what_was_expected(
    tmp_path: Path, content: bytes, words: str
) -> None:
    with pytest.raises(InputError) as caught:
        read_suite(written(tmp_path, content))
    assert "suite.toml" in str(caught.value)
    assert words in f"{caught.value}; {caught.value.hint}"


def test_json_says_the_same_and_no_file_is_told(tmp_path: Path) -> None:
    suite = read_suite(written(tmp_path, TEXT))
    assert read_suite(written(tmp_path, encode_json(suite), "suite.json")) == suite
    with pytest.raises(InputError, match=r"absent\.toml"):
        read_suite(tmp_path / "absent.toml")


def test_a_listed_scenario_that_cannot_be_done_is_refused_before_any_load() -> None:
    suite = Suite(
        target="http://127.0.0.1:9",
        scenarios=(Scene(name="offline"), Scene(name="cold-start")),
    )
    with pytest.raises(InputError, match="scenario 2 of the suite, cold-start, cannot be done"):
        run_scenes(orders_of(suite, JsonWay(), engine=no_engine))


names = st.text("abc/._-", max_size=6)


@given(
    golden=names,
    recording=names,
    p95_ms=st.none() | st.floats(0.1, 1e6),
    seconds=st.none() | st.floats(0.1, 1e4),
)
def test_a_suite_survives_being_written_and_read(
    golden: str, recording: str, p95_ms: float | None, seconds: float | None
) -> None:
    suite = Suite(
        limits=Limits(p95_ms=p95_ms),
        truth=Truth(golden=golden),
        load=Load(seconds=seconds),
        scenarios=(Scene(name="replay", recording=recording),),
    )
    assert decode_suite(encode_json(suite), is_json=True) == suite
    seen: list[str] = []
    same = suite.with_paths(lambda text: (seen.append(text), text)[1])
    assert same == suite
    assert seen == [text for text in (golden, recording) if text]


def test_the_page_shows_every_key_there_is() -> None:
    page = (Path(__file__).parents[3] / "docs/validate.md").read_text()
    block = page.split("```toml\n")[1].split("```")[0]
    suite = decode_suite(block.encode(), source="docs/validate.md")
    shown = tomllib.loads(block)
    kinds = {"limits": Limits, "truth": Truth, "load": Load, "server": Server, "machine": Machine}
    for table, kind in {**kinds, "reports": Reports}.items():
        assert set(shown[table]) == set(kind.__struct_fields__), table
    assert {*shown, "schema_version"} == set(Suite.__struct_fields__)
    assert [scene.name for scene in suite.scenarios] == ["server", "faults"]
