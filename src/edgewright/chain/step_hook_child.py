"""A script of one of the agent's steps: `python -m edgewright.chain.step_hook_child STEP FOLDER`.

The agent verified the unpacked bundle just before; the script's bytes are hashed once more as they
are read, and go to an interpreter of their own without touching the disk. How it ended is printed
as one `ProbeReport`. It dies with its parent, and the parent ends its whole process group.
"""

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, get_args

import msgspec

from edgewright.bundle import open_bundle
from edgewright.bundle.hooks import Step, step_blobs
from edgewright.chain.child import die_with_parent
from edgewright.device.agent.process import ending
from edgewright.errors import EdgewrightError
from edgewright.telemetry import ProbeReport

WORDS = 200
WORDS_BYTES = 4 * WORDS
"""So many letters of what a script said last are kept, and the bytes that hold them."""
LINGER_S = 0.5
"""How long the words of a script that has ended are still read."""
INHERITED = ("PATH", "HOME", "LANG", "TZ")


def run_script(step: Step, folder: Path) -> ProbeReport:
    """How the script of a step ended; it learns from its environment what it is about."""
    try:
        bundle = open_bundle(folder)
        source = bundle.read(step_blobs(bundle.manifest)[step])
    except EdgewrightError as error:
        return ProbeReport(passed=False, reason=str(error))
    script = subprocess.Popen(
        [sys.executable, "-I", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env={
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            "EDGEWRIGHT_STEP": step,
            "EDGEWRIGHT_MODEL": bundle.manifest.name,
            "EDGEWRIGHT_VERSION": bundle.manifest.version,
            "EDGEWRIGHT_BUNDLE": bundle.id,
            "EDGEWRIGHT_FOLDER": str(folder),
        },
        preexec_fn=die_with_parent,  # noqa: PLW1509 - no thread runs yet
    )
    return_code, said = _ended(script, source)
    words = " ".join(said.decode(errors="replace").split())[-WORDS:]
    if return_code == 0:
        return ProbeReport(passed=True, reason=words)
    return ProbeReport(passed=False, reason=f"it {ending(return_code)}: {words or 'no word'}")


def _ended(script: "subprocess.Popen[bytes]", source: bytes) -> tuple[int, bytes]:
    """How a script ended and what it said last. Nobody is waited for whom it left behind with its
    output in hand: the script is over when its own process is.
    """
    said = bytearray()
    reader = threading.Thread(target=_read, args=(script.stdout, said), daemon=True)
    reader.start()
    with contextlib.suppress(BrokenPipeError), script.stdin or contextlib.nullcontext() as stdin:
        if stdin:
            stdin.write(source)
    return_code = script.wait()
    reader.join(LINGER_S)
    return return_code, bytes(said)


def _read(output: IO[bytes], said: bytearray) -> None:
    while chunk := os.read(output.fileno(), WORDS_BYTES):
        said += chunk
        del said[:-WORDS_BYTES]


def main() -> None:
    """Print the report on the step and the folder that the command line names."""
    die_with_parent()
    name, folder = sys.argv[1:]
    step: Step = next(step for step in get_args(Step) if step == name)
    sys.stdout.buffer.write(msgspec.json.encode(run_script(step, Path(folder))) + b"\n")


if __name__ == "__main__":
    main()
