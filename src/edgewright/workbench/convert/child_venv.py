"""Converters whose pins clash with this environment run in one of their own.

A child environment is a folder `.venv-convert-NAME` beside the environment that edgewright runs
in, or in the working directory. When the converter is installed here, no child is needed.
"""

import contextlib
import importlib.util
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

import msgspec

from edgewright import _fs
from edgewright.errors import UnavailableError
from edgewright.workbench.convert.tool_run import run_tool

_LIMIT_BYTES = 2**31 - 1
_CLOSE_LIMIT_S = 5.0
_SCRIPTS = Path(__file__).parent / "children"


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """A converter in its own environment: the module that shows it is there, how to get it."""

    name: str
    module: str
    packages: tuple[str, ...] = ()
    advice: str = ""

    @property
    def install(self) -> str:
        """How to get the environment, for a message."""
        if self.advice:
            return self.advice
        folder = f".venv-convert-{self.name}"
        return (
            f"python3 -m venv {folder} && {folder}/bin/pip install {' '.join(self.packages)}"
            f"{self.shortcut}"
        )

    @property
    def shortcut(self) -> str:
        """What a clone's set-up does for it."""
        known = self.name in {"litert", "tensorflow"}
        return f" (or, in a clone: make setup EXTRAS={self.name}-convert)" if known else ""


LITERT = Child(
    name="litert",
    module="litert_torch",
    packages=(
        "torch==2.13.0",
        "litert-torch==0.10.0",
        "ai-edge-quantizer==0.10.0",
        "ai-edge-litert==2.3.0",
    ),
)


HAILO = Child(
    name="hailo",
    module="hailo_sdk_client",
    advice="install the Hailo Dataflow Compiler from the Hailo developer zone into "
    ".venv-convert-hailo",
)
QAI_HUB = Child(name="qai-hub", module="qai_hub", packages=("qai-hub",))
RKNN = Child(name="rknn", module="rknn", packages=("rknn-toolkit2",))
TENSORRT = Child(
    name="tensorrt",
    module="tensorrt",
    advice="run this on the device itself: TensorRT is part of JetPack, and engines do not travel",
)
TVM = Child(
    name="tvm",
    module="tvm",
    advice="pip install 'edgewright[tvm]' (or, in a clone: make setup EXTRAS=tvm)",
)


def find_python(child: Child) -> Path | None:
    """The interpreter that has the converter; None where none has."""
    if _is_here(child.module):
        return Path(sys.executable)
    for folder in _places():
        root = folder / f".venv-convert-{child.name}"
        if (
            any(root.glob(f"lib/python*/site-packages/{child.module}"))
            and (root / "bin" / "python").exists()
        ):
            return root / "bin" / "python"
    return None


def run_child(
    child: Child,
    script: str,
    files: Mapping[str, bytes],
    *,
    arguments: tuple[str, ...] = (),
    timeout_s: float,
) -> dict[str, bytes]:
    """Run `children/<script>` on some files in an empty folder; returns the files it left new.

    Raises:
        UnavailableError: the environment is absent, or the converter refuses the model.
        InputError: the converter took longer than `timeout_s`.
    """
    command = _command(child, script)
    with tempfile.TemporaryDirectory(prefix="edgewright-") as name:
        folder = Path(name)
        for file, content in files.items():
            _fs.write_atomic(folder / file, content)
        done = run_tool(
            [*command, *arguments],
            folder,
            timeout_s=timeout_s,
            name=child.module,
            environment=_environment(name),
        )
        if done.returncode != 0:
            raise UnavailableError(
                f"{child.module} cannot take this graph: {_reason(done.stderr)}",
                hint="try another format, or cut the graph with --start and --end",
            )
        return {
            path.name: _fs.read_limited(path, limit_bytes=_LIMIT_BYTES)
            for path in sorted(folder.iterdir())
            if path.is_file() and path.name not in files
        }


@contextlib.contextmanager
def asked_child(
    child: Child,
    script: str,
    files: Mapping[str, bytes],
    *,
    arguments: tuple[str, ...] = (),
    timeout_s: float,
) -> Iterator[Callable[[bytes], bytes]]:
    """The same for a script that stays and is asked again and again: the function that is handed
    out writes `question.npz`, says so with a line, waits for one, and returns `answer.npz`.

    Raises:
        UnavailableError: the environment is absent; or, when asked, the script ended or took longer
            than `timeout_s`.
    """
    command = _command(child, script)
    with (
        tempfile.TemporaryDirectory(prefix="edgewright-") as name,
        tempfile.TemporaryFile() as log,
    ):
        folder = Path(name)
        for file, content in files.items():
            _fs.write_atomic(folder / file, content)
        process = subprocess.Popen(
            [*command, *arguments],
            cwd=folder,
            env=_environment(name),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        try:
            yield lambda question: _asked(process, question, folder, log, timeout_s=timeout_s)
        finally:
            _end(process)


def _asked(
    process: subprocess.Popen[bytes],
    question: bytes,
    folder: Path,
    log: IO[bytes],
    *,
    timeout_s: float,
) -> bytes:
    if process.stdin is None or process.stdout is None:
        raise ValueError("the process was started without pipes")
    _fs.write_atomic(folder / "question.npz", question)
    with contextlib.suppress(BrokenPipeError):  # it is gone; its last words are told below
        process.stdin.write(b"\n")
        process.stdin.flush()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(timeout_s):
            process.kill()
            raise UnavailableError(f"the file did not answer within {timeout_s:g} s")
    if not process.stdout.readline():
        code = process.wait()
        log.seek(0)
        said = log.read(_LIMIT_BYTES).decode(errors="replace")
        raise UnavailableError(
            f"the file does not run here: {_reason(said)} (exit code {code})",
            hint="a file for another CPU has to be made and compared on a machine that has it",
        )
    return _fs.read_limited(folder / "answer.npz", limit_bytes=_LIMIT_BYTES)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Its input ends, so it does; or it is ended."""
    try:
        process.communicate(timeout=_CLOSE_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def _command(child: Child, script: str) -> list[str]:
    python = find_python(child)
    if python is None:
        raise UnavailableError(
            f"{child.module} is not installed here and no .venv-convert-{child.name} is",
            hint=child.install,
        )
    return [str(python), "-I", str(_SCRIPTS / script)]


def _environment(home: str) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": home, "TF_CPP_MIN_LOG_LEVEL": "3"}


def _reason(stderr: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line or "error:" in line]
    return (errors or lines or ["it said nothing"])[-1][:300]


def _places() -> Iterator[Path]:
    yield Path(sys.prefix).parent
    yield Path.cwd()


def _is_here(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
