"""`edgewright init` and `run` with wrong words: which word, what was meant, nothing changed."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from edgewright.cli._main import root
from edgewright.errors import InputError


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "p"
    assert CliRunner().invoke(root, ["init", str(folder), "--recipe", "har"]).exit_code == 0
    return folder


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--to", "trian"], "did you mean 'train'"),
        (["--from", "package", "--to", "data"], "stage package comes after data"),
        (["--from", "verfy"], "did you mean 'verify'"),
        (["--set", "train.epochs=0"], "epochs is 0"),
        (["--set", "train.epoch=1"], "did you mean 'epochs'"),
        (["--set", "recipe.sorce=1"], "did you mean 'source'"),
        (["--set", "recipe.name=hra"], "did you mean 'har'"),
        (["--set", "recipe.source=no.csv"], "no such file"),
        (["--set", "optimize.max_drop=200"], "expected 0 to 100"),
        (["--set", "convert.formats=['onxx']", "--to", "data"], "did you mean 'onnx'"),
    ],
)
def test_wrong_words_are_refused_before_anything_runs(
    project: Path, arguments: list[str], words: str
) -> None:
    result = CliRunner().invoke(root, ["run", "--project", str(project), *arguments])
    assert isinstance(result.exception, InputError), result.output
    assert words in str(result.exception)
    assert not list((project / ".edgewright" / "stages").glob("*/*"))
    assert not (project / "reports").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--project", "nowhere"], "edgewright init"),
        (["init", "{project}", "--recipe", "har"], "not empty"),
        (["init", "q", "--recipe", "hra"], "did you mean 'har'"),
        (["init", "...", "--recipe", "har"], "begin with a letter"),
    ],
)
def test_wrong_folders_and_recipes_are_refused(
    project: Path, arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.parent)
    filled = [argument.format(project=project) for argument in arguments]
    result = CliRunner().invoke(root, filled)
    assert isinstance(result.exception, InputError), result.output
    assert words in str(result.exception)
    assert [path.name for path in project.parent.iterdir()] == ["p"]


def test_a_new_project_takes_the_users_own_recordings(tmp_path: Path) -> None:
    own = tmp_path / "own.csv"
    own.write_text("a\n1\n")
    arguments = ["init", str(tmp_path / "q"), "--recipe", "har", "--data", str(own)]
    assert CliRunner().invoke(root, arguments).exit_code == 0
    assert f'source = "{own}"' in (tmp_path / "q" / "edgewright.toml").read_text()


def test_a_folder_of_any_name_gives_a_project_that_can_be_run(tmp_path: Path) -> None:
    folder = tmp_path / "w ü x"
    made = CliRunner().invoke(root, ["init", str(folder), "--recipe", "har"])
    assert made.exit_code == 0
    assert f"edgewright run --project '{folder}'" in made.output
    assert (folder / "models" / "w---x").is_dir()
