"""The C project of `tflm-c`, compiled against TensorFlow Lite Micro and run on this machine.

Its sources are in no package that a test could install, so this runs where `make test-tflm
TFLM_DIR=<a clone>` says where a built clone lies.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from edgewright.workbench.convert import convert

pytest.importorskip("ai_edge_litert", reason="absent: ai-edge-litert (make setup EXTRAS=litert)")
pytest.importorskip("tflite_micro", reason="absent: tflite-micro (make setup EXTRAS=mcu)")

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

WRONG_ANSWER = 7
"""Of main.cc."""
MODELS = ("ad01_fp32", "ad01_int8", "ic_resnet8_int8", "kws_dscnn_int8")


@pytest.fixture(scope="module")
def tflm() -> Path:
    named = os.environ.get("EDGEWRIGHT_TFLM_DIR")
    if not named:
        pytest.skip("no clone of tflite-micro was named: make test-tflm TFLM_DIR=...")
    if shutil.which("cmake") is None:
        pytest.skip("absent: cmake (Debian package cmake)")
    return Path(named)


def built(project: Path, tflm: Path) -> Path:
    """The project's own build, as its first line tells a user to do it."""
    subprocess.run(["cmake", "-B", "build", f"-DTFLM_DIR={tflm}"], cwd=project, check=True)
    subprocess.run(["cmake", "--build", "build"], cwd=project, check=True)
    return project / "build" / "model"


@pytest.mark.parametrize("name", MODELS)
def test_the_project_gives_the_verified_answer_in_the_arena_it_names(
    name: str, tflm: Path, shared_data: Path, tmp_path: Path
) -> None:
    (record,) = convert(shared_data / "mlperf-tiny" / f"{name}.tflite", ["tflm-c"], tmp_path)
    project = Path(record.path)
    program = built(project, tflm)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    named = _arena_bytes(project)
    used = int(done.stdout.removeprefix("ok, arena ").split()[0])
    print(f"{name}: arena {named} bytes, of which {used} are used here")
    assert used <= named


def test_another_answer_is_told(tflm: Path, shared_data: Path, tmp_path: Path) -> None:
    (record,) = convert(shared_data / "mlperf-tiny" / "ad01_int8.tflite", ["tflm-c"], tmp_path)
    project = Path(record.path)
    golden = (project / "golden.h").read_text()
    mark = "golden_output_0[] = {0x"
    at = golden.index(mark) + len(mark)
    other = "00" if golden[at : at + 2] != "00" else "01"
    (project / "golden.h").write_text(golden[:at] + other + golden[at + 2 :])
    assert subprocess.run([built(project, tflm)], check=False).returncode == WRONG_ANSWER


def _arena_bytes(project: Path) -> int:
    (line,) = (
        line
        for line in (project / "model_data.h").read_text().splitlines()
        if line.startswith("#define MODEL_ARENA_BYTES")
    )
    return int(line.split()[-1])
