"""Each way to get torch, tried dry with the real installers on tiny real wheels; nothing from the
network."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import pip_settings
import setup_plan
import setup_venv
from setup_venv import Installer, SetupError

UV = Path(sys.executable).with_name("uv")
CONSTRAINTS = setup_venv.ROOT / "constraints.txt"

pytestmark = pytest.mark.skipif(not UV.exists(), reason="absent: uv in this environment")


def pinned(name: str) -> str:
    found = re.search(rf"^{name}==(\S+)", CONSTRAINTS.read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return found.group(1)


def write_wheel(folder: Path, name: str, version: str, *, requires: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += f"Requires-Dist: {requires}\n" if requires else ""
    files = {
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, content in files.items():
            wheel.writestr(path, content)


def write_index(root: Path) -> str:
    """A package index of the wheels under `root/<name>/`, as a file: URL."""
    for folder in [path for path in root.iterdir() if path.is_dir()]:
        links = [f'<a href="{wheel.name}">{wheel.name}</a>' for wheel in folder.glob("*.whl")]
        page = f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>"
        (folder / "index.html").write_text(page, encoding="utf-8")
    return root.as_uri()


@pytest.fixture
def cpu_version() -> str:
    return f"{pinned('torch')}+cpu"


@pytest.fixture
def cpu_wheels(tmp_path: Path, cpu_version: str) -> Path:
    write_wheel(tmp_path / "wheels", "torch", cpu_version)
    return tmp_path / "wheels"


@pytest.fixture
def cpu_index(tmp_path: Path, cpu_version: str) -> str:
    write_wheel(tmp_path / "cpu-index" / "torch", "torch", cpu_version)
    return write_index(tmp_path / "cpu-index")


@pytest.fixture
def gpu_index(tmp_path: Path) -> str:
    root = tmp_path / "gpu-index"
    write_wheel(root / "torch", "torch", pinned("torch"), requires="nvidia-cublas")
    write_wheel(root / "nvidia-cublas", "nvidia_cublas", pinned("nvidia-cublas"))
    return write_index(root)


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("UV_FIND_LINKS", "UV_INDEX", "UV_DEFAULT_INDEX", "UV_TORCH_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    for name in ("PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))


def with_uv(pip_config: dict[str, str], *, has_gpu: bool = False) -> Installer:
    """The installer that a user with this pip configuration gets."""
    environment = pip_settings.uv_environment(pip_config, {}, frozenset(), Path.exists)
    find_links = environment.get("UV_FIND_LINKS", "")
    return Installer(
        (str(UV), "pip"),
        {**environment, "UV_PYTHON": sys.executable},
        setup_plan.uv_ways(find_links=find_links, has_gpu=has_gpu),
        afresh="--reinstall",
    )


def choose(installer: Installer, *, has_gpu: bool = False) -> setup_plan.Choice:
    return setup_plan.choose(installer.ways, installer.trial, has_gpu=has_gpu)


def test_first_way_takes_the_wheel_in_find_links(
    cpu_wheels: Path, gpu_index: str, cpu_version: str
) -> None:
    choice = choose(with_uv({"find-links": str(cpu_wheels), "index-url": gpu_index}))
    assert choice.way == "find-links"
    assert choice.requirement == f"torch=={cpu_version}"


def test_find_links_may_be_several_folders_and_some_absent(
    cpu_wheels: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    places = f"{tmp_path / 'empty'} {tmp_path / 'gone'} {cpu_wheels}"
    assert choose(with_uv({"find-links": places})).way == "find-links"


def test_second_way_takes_a_cpu_build_of_the_configured_index(
    cpu_index: str, cpu_version: str
) -> None:
    choice = choose(with_uv({"index-url": cpu_index}))
    assert choice.way == "your configuration"
    assert choice.requirement == f"torch=={cpu_version}"


def test_second_way_takes_the_best_of_several_indexes_as_pip_does(
    cpu_index: str, gpu_index: str
) -> None:
    settings = {"index-url": gpu_index, "extra-index-url": f"{gpu_index} {cpu_index}"}
    assert choose(with_uv(settings)).way == "your configuration"


def test_index_folder_that_is_absent_is_skipped(cpu_index: str, tmp_path: Path) -> None:
    gone = (tmp_path / "gone").as_uri()
    settings = {"index-url": cpu_index, "extra-index-url": gone}
    assert choose(with_uv(settings)).way == "your configuration"


def test_second_way_takes_a_gpu_build_where_a_gpu_is(gpu_index: str) -> None:
    choice = choose(with_uv({"index-url": gpu_index}, has_gpu=True), has_gpu=True)
    assert choice.way == "your configuration"


def test_third_way_is_refused_offline_and_the_plain_line_is_printed(gpu_index: str) -> None:
    choice = choose(with_uv({"index-url": gpu_index}))
    assert choice.way == "plain"
    assert "your configuration: only a GPU build, and no GPU is here" in choice.note
    assert "--torch-backend cpu: none" in choice.note


def test_third_way_is_understood_by_this_uv(cpu_wheels: Path, cpu_version: str) -> None:
    installer = with_uv({"find-links": str(cpu_wheels), "no-index": "1"})
    third = installer.ways[-1]
    assert third.install == ("--torch-backend", "cpu")
    assert installer.trial(third) == setup_plan.Torch(cpu_version, needs_gpu=False)


def test_pip_takes_the_wheel_in_find_links(cpu_wheels: Path, cpu_version: str) -> None:
    environment = pip_settings.pip_environment({"find-links": str(cpu_wheels)}, Path.exists)
    ways = setup_plan.pip_ways(find_links=environment["PIP_FIND_LINKS"])
    command = (sys.executable, "-m", "pip")
    choice = choose(Installer(command, environment, ways, "--force-reinstall"))
    assert (choice.way, choice.requirement) == ("find-links", f"torch=={cpu_version}")


def test_uv_that_cannot_be_had_is_said_and_survived(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    assert setup_venv.get_uv(venv, {}) is False
    assert "going on with pip" in capsys.readouterr().out


def test_environment_without_pip_does_not_count_as_working(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    assert setup_venv.works(venv) is False
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    assert setup_venv.works(venv) is False


def test_unknown_extra_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"no such extras: nope; there are: .*workbench"):
        setup_venv.set_up(tmp_path / "venv", ("nope",), with_uv=True)
    assert not (tmp_path / "venv").exists()


def test_broken_stamp_reads_as_none(tmp_path: Path) -> None:
    assert setup_venv.read_stamp(tmp_path) == {}
    (tmp_path / setup_venv.STAMP).write_text('{"fingerprint": ', encoding="utf-8")
    assert setup_venv.read_stamp(tmp_path) == {}
    setup_venv.write_stamp(tmp_path, {"fingerprint": "x", "extras": ["dev"]})
    assert setup_venv.read_stamp(tmp_path) == {"fingerprint": "x", "extras": ["dev"]}


def test_failed_step_shows_the_installers_words_and_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = "print('cause: No space left on device (os error 28)'); raise SystemExit(2)"
    with pytest.raises(SetupError, match="disk is full"):
        setup_venv.run([sys.executable, "-c", code])
    assert "os error 28" in capsys.readouterr().err


def test_only_progress_of_a_good_step_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    setup_venv.run([sys.executable, "-c", "print('warning: noise\\nInstalled 3 packages')"])
    assert capsys.readouterr().out == "setup:   Installed 3 packages\n"


def test_command_that_is_absent_reads_as_status_127(tmp_path: Path) -> None:
    assert setup_venv.capture([str(tmp_path / "none")])[0] == 127


def test_keys_of_uv_toml_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "uv.toml"
    file.write_text('find-links = ["/w"]\n[pip]\nindex-strategy = "first-index"\n')
    monkeypatch.setenv("UV_CONFIG_FILE", str(file))
    assert setup_venv.uv_file_keys() == {"find-links", "pip", "index-strategy"}
