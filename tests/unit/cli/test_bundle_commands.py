"""`edgewright bundle`, from the outside: files in, files and JSON out, exit codes."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from edgewright._npz import encode_npz
from edgewright.cli._main import root
from edgewright.errors import EdgewrightError, InputError, TrustError
from edgewright.runtimes.base import EngineTensor
from edgewright.runtimes.reference import Graph, Layer, write_reference

CONTRACT = """
labels = ["low", "high"]

[[inputs]]
name = "x"
dtype = "float32"
shape = ["batch", 2]
low = -10
high = 10

[[outputs]]
name = "y"
dtype = "float32"
shape = ["batch", 2]
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    graph = Graph(
        inputs=(EngineTensor(name="x", dtype="float32", shape=(None, 2)),),
        outputs=(EngineTensor(name="y", dtype="float32", shape=(None, 2)),),
        layers=(Layer(op="relu", inputs=("x",), output="y"),),
    )
    write_reference(tmp_path / "model.npz", graph, {})
    (tmp_path / "contract.toml").write_text(CONTRACT)
    content = encode_npz({"x": np.array([[1.0, -2.0], [0.5, 3.0]], np.float32)})
    (tmp_path / "golden.npz").write_bytes(content)
    return tmp_path / "model.npz"


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(root, [str(argument) for argument in arguments])


def build(model: Path, *more: object) -> Result:
    folder = model.parent
    return invoke(
        "bundle",
        "build",
        "--model",
        model,
        "--name",
        "tiny",
        "--version",
        "1.0",
        "--out",
        folder / "tiny.ewb",
        *more,
    )


def failure(result: Result, branch: type[EdgewrightError]) -> str:
    assert isinstance(result.exception, branch), result.output
    return str(result.exception)


def test_build_show_verify_walk(model: Path) -> None:
    folder = model.parent
    built = build(
        model,
        "--contract",
        folder / "contract.toml",
        "--golden",
        folder / "golden.npz",
        "--key",
        folder / "k.pem",
        "--json",
    )
    assert built.exit_code == 0, built.output
    shown = json.loads(invoke("bundle", "show", folder / "tiny.ewb", "--json").output)
    assert shown["kind"] == "bundle"
    assert shown["schema_version"] == 1
    assert shown["bundle_id"] == json.loads(built.output)["bundle_id"]
    assert [blob[0] for blob in shown["blobs"]] == ["model", "golden", "sbom"]
    verified = json.loads(
        invoke("bundle", "verify", folder / "tiny.ewb", "--key", folder / "k.pub", "--json").output
    )
    assert verified["signed_by"] == shown["signed_by"]


def test_show_for_people_names_the_engine_and_the_signer(model: Path) -> None:
    build(model, "--key", model.parent / "k.pem")
    output = invoke("bundle", "show", model.parent / "tiny.ewb").output
    assert "engine\treference, as-is" in output
    assert "blob model\tmodel.npz" in output


def test_a_bundle_of_a_stranger_is_not_trusted(model: Path) -> None:
    folder = model.parent
    build(model, "--key", folder / "k.pem")
    invoke("bundle", "sign", folder / "tiny.ewb", "--key", folder / "other.pem")
    build(model, "--key", folder / "k.pem")
    result = invoke("bundle", "verify", folder / "tiny.ewb", "--key", folder / "other.pub")
    assert "1 needed" in failure(result, TrustError)


def test_diff_of_two_versions_names_the_version(model: Path) -> None:
    folder = model.parent
    build(model)
    (folder / "tiny.ewb").rename(folder / "old.ewb")
    build(model, "--contract", folder / "contract.toml")
    output = invoke("bundle", "diff", folder / "old.ewb", folder / "tiny.ewb", "--json").output
    places = {d["place"] for d in json.loads(output)["differences"]}
    assert "contract.labels[0]" in places


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: (f / "model.npz").unlink(), "no such file"),
        (lambda f: (f / "model.npz").write_text("hello"), "not an npz"),
        (lambda f: (f / "contract.toml").write_text(CONTRACT + "lables = []"), "unknown key"),
        (lambda f: (f / "golden.npz").write_text("hello"), "not an npz"),
        (
            lambda f: (f / "golden.npz").write_bytes(encode_npz({"z": np.zeros(1)})),
            r"no array for input\(s\) \['x'\], it has \['z'\]",
        ),
        (
            lambda f: (f / "golden.npz").write_bytes(
                encode_npz({"x": np.full((1, 2), np.nan, np.float32)})
            ),
            "'x'",
        ),
        (
            lambda f: (f / "golden.npz").write_bytes(
                encode_npz({"x": np.zeros((1, 3), np.float32)})
            ),
            "'x'",
        ),
    ],
    ids=["missing", "no-model", "unknown-key", "no-npz", "wrong-name", "nan", "wrong-shape"],
)
def test_bad_input_names_what_is_wrong_and_leaves_no_bundle(
    model: Path, spoil: object, words: str
) -> None:
    folder = model.parent
    spoil(folder)  # type: ignore[operator]
    result = build(model, "--contract", folder / "contract.toml", "--golden", folder / "golden.npz")
    with pytest.raises(InputError, match=words):
        raise result.exception  # type: ignore[misc]
    assert not (folder / "tiny.ewb").exists()


def test_a_model_file_of_unknown_kind_lists_the_known_ones(model: Path) -> None:
    other = model.rename(model.with_suffix(".bin"))
    message = failure(build(other), InputError)
    assert "unknown kind of model file '.bin'" in message
    assert ".onnx" in message
