"""Libraries of Apache TVM, and what is said where it is not."""

import importlib.util
from pathlib import Path

import msgspec
import pytest

from edgewright.errors import UnavailableError
from edgewright.workbench.convert import Given, convert
from edgewright.workbench.convert.artefact import Wishes
from edgewright.workbench.convert.formats import FORMATS, check_available


@pytest.fixture
def tvm() -> None:
    if importlib.util.find_spec("tvm") is None:
        pytest.skip("absent: apache-tvm (make setup EXTRAS=tvm)")


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("tvm")
def test_a_library_is_real_repeatable_and_answers_like_its_model(
    model: Path, tmp_path: Path
) -> None:
    (first,) = convert(model, ["tvm"], tmp_path / "a")
    (second,) = convert(model, ["tvm"], tmp_path / "b")
    content = (tmp_path / "a" / "net.so").read_bytes()
    assert first.sha256 == second.sha256
    assert content.startswith(b"\x7fELF")
    for folder in (b"/home/", b"/tmp/", str(tmp_path).encode(), str(Path.cwd()).encode()):
        assert folder not in content
    assert first.parity == "verified"
    assert first.max_abs is not None
    assert first.max_abs < 1e-4
    assert "not tuned; for any CPU of its kind" in first.notes


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("tvm")
def test_an_unknown_cpu_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="LLVM knows no CPU 'hailo8'"):
        convert(model, ["tvm"], tmp_path / "out", given=Given(wishes=Wishes(arch="hailo8")))
    assert not (tmp_path / "out").exists()


def test_what_is_absent_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = FORMATS["tvm"]
    assert entry.child is not None
    absent = msgspec.structs.replace(entry.child, name="nowhere", module="no_such_tvm")
    with pytest.raises(UnavailableError, match="need no_such_tvm") as told:
        check_available(msgspec.structs.replace(entry, child=absent))
    assert "edgewright[tvm]" in told.value.hint
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match="need cc, not installed here") as told:
        check_available(entry)
    assert "Debian package gcc" in told.value.hint
