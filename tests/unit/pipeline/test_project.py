import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from edgewright._fs import write_atomic
from edgewright.chain.new_project import InitOrder, init_project
from edgewright.contract.decoding import convert
from edgewright.errors import InputError
from edgewright.workbench.data import SourceMapping
from edgewright.workbench.pipeline.budgets import TIME_LIMITS_S, keep_budgets
from edgewright.workbench.pipeline.project import Project, parse_project, read_project
from edgewright.workbench.pipeline.scaffold import scaffolds, write_project

VALUES = {
    "name": "steps",
    "recipe": "har",
    "source": "seglearn",
    "epochs": "3",
    "model_file": "given.onnx",
    "budget_meaning": "?",
    "max_drop": "1.0",
    "origin": "",
}
TEXT = b'schema_version = 1\nname = "steps"\n[recipe]\nname = "har"\n[train]\nepochs = 3\n'


def parse(*overrides: str) -> Project:
    return parse_project(TEXT, source="edgewright.toml", overrides=overrides)


def test_the_mapping_that_a_new_project_shows_is_one() -> None:
    text = (
        files("edgewright.workbench.pipeline") / "templates/har/edgewright.toml.tmpl"
    ).read_text()
    shown = text[text.index("# [recipe.mapping]") : text.index("[recipe.split]")]
    lines = [line.removeprefix("# ") for line in shown.splitlines()]
    raw = tomllib.loads("\n".join(lines))["recipe"]["mapping"]
    mapping = convert(raw, SourceMapping, source="template")
    assert [each.name for each in mapping.channels] == ["acc_x", "acc_y", "acc_z"]


def test_overrides_are_toml_values_or_plain_words() -> None:
    project = parse("train.epochs=5", "version=2.0-rc", 'recipe.split.test=["1", "2"]')
    assert project.train == {"epochs": 5}
    assert project.version == "2.0-rc"
    assert project.recipe_options == {"split": {"test": ["1", "2"]}}


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.epochs", "expected key=value"),
        ("=3", "expected key=value"),
        ("name.first=x", "'name' is a value, not a table"),
        ("trian.epochs=3", "did you mean 'train'"),
        ("optimize.max_dorp=3", "'optimize.max_dorp'; did you mean 'max_drop'"),
        ("optimize.objective=speed", "optimize.objective"),
        ("schema_version=2", "this edgewright reads 1"),
        ("name=../up", "expected letters"),
        ("recipe.name=3", "needs a name"),
    ],
)
def test_wrong_overrides_say_what_was_meant(override: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse(override)


def test_a_folder_without_a_project_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="edgewright init"):
        read_project(tmp_path)


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe"])
def test_a_project_that_is_not_toml_names_the_file(tmp_path: Path, content: bytes) -> None:
    write_atomic(tmp_path / "edgewright.toml", content)
    with pytest.raises(InputError, match=r"edgewright.toml: not valid TOML"):
        read_project(tmp_path)


@pytest.mark.parametrize("recipe", scaffolds())
def test_every_scaffold_writes_a_project_that_reads_back(tmp_path: Path, recipe: str) -> None:
    written = write_project(tmp_path / "new", recipe, VALUES)
    project = read_project(tmp_path / "new")
    assert project.name == "steps"
    assert project.recipe_name == recipe
    assert {path.parts[0] for path in written} >= {
        "edgewright.toml",
        "models",
        "edge_application",
        "infrastructure",
        "documentation",
        "tests",
    }
    assert (tmp_path / "new" / "models" / "steps" / "metadata.json").is_file()


@pytest.mark.parametrize("recipe", scaffolds())
def test_generated_scripts_are_sound(tmp_path: Path, recipe: str) -> None:
    import subprocess

    for path in write_project(tmp_path / "new", recipe, VALUES):
        whole = tmp_path / "new" / path
        if path.suffix == ".py":
            compile(whole.read_text(), str(path), "exec")
        if path.suffix == ".sh":
            subprocess.run(["sh", "-n", str(whole)], check=True)
            assert whole.stat().st_mode & 0o111
        assert "$name" not in whole.read_text()


def test_a_project_goes_into_an_empty_folder_but_never_over_something(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_project(tmp_path / "empty", "har", VALUES)
    before = (tmp_path / "empty" / "edgewright.toml").read_bytes()
    with pytest.raises(InputError, match="not empty"):
        write_project(tmp_path / "empty", "har", {**VALUES, "name": "other"})
    assert (tmp_path / "empty" / "edgewright.toml").read_bytes() == before


def test_an_unknown_recipe_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'har'"):
        init_project(InitOrder(folder=tmp_path / "new", recipe="hra"))
    assert list(tmp_path.iterdir()) == []


def test_time_budgets_are_kept_beside_each_other(tmp_path: Path) -> None:
    keep_budgets(tmp_path, {"export": 12.0})
    kept = keep_budgets(tmp_path, {"deploy": 700.0, "export": 10.0})
    assert [(b.name, b.seconds, b.is_kept) for b in kept] == [
        ("export", 10.0, True),
        ("deploy", 700.0, False),
    ]
    assert TIME_LIMITS_S["deploy"] == 600.0
