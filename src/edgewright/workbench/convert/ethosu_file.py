"""LiteRT compiled for Arm Ethos-U by Vela, with Vela's own report beside it."""

import sys
import tempfile
from pathlib import Path

from edgewright import _fs
from edgewright.errors import InputError, UnavailableError
from edgewright.workbench.convert.artefact import Artefact, Job
from edgewright.workbench.convert.litert_file import litert_bytes
from edgewright.workbench.convert.tool_run import run_tool

DEFAULT_ARCH = "ethos-u55-128"
_LIMIT_BYTES = 1 << 30
_COMMAND = "import sys; from ethosu.vela.vela import main; sys.exit(main(sys.argv[1:]))"


def ethosu_artefact(job: Job) -> Artefact:
    """`net_vela.tflite`, `net_vela.txt` (SRAM, cycles, operators by place) and `net_vela.csv`.

    Raises:
        UnavailableError: Vela refuses the model.
        InputError: Vela left everything to the CPU, or took too long.
    """
    arch = job.wishes.arch or DEFAULT_ARCH
    with tempfile.TemporaryDirectory(prefix="edgewright-") as name:
        folder = Path(name)
        _fs.write_atomic(folder / f"{job.stem}.tflite", litert_bytes(job))
        command = [sys.executable, "-c", _COMMAND, f"{job.stem}.tflite", "--output-dir", "out"]
        command += ["--accelerator-config", arch, "--verbose-performance"]
        done = run_tool(command, folder, timeout_s=job.wishes.timeout_s, name="Vela")
        compiled = folder / "out" / f"{job.stem}_vela.tflite"
        if done.returncode != 0 or not compiled.is_file():
            said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
            raise UnavailableError(
                f"Vela cannot compile this model for {arch}: {said[-1][:300]}",
                hint="vela --help lists the chips (--arch)",
            )
        content = _fs.read_limited(compiled, limit_bytes=_LIMIT_BYTES)
        (table,) = (folder / "out").glob("*_summary_*.csv")
        csv = _fs.read_limited(table, limit_bytes=_LIMIT_BYTES)
    if b"ethos-u" not in content:
        raise InputError(
            "Vela left every operator to the CPU: an Ethos-U computes in integers only",
            hint="give an int8 .tflite, which `edgewright optimize` makes",
        )
    report = done.stdout[done.stdout.find("Network summary") :]
    notes = tuple(
        " ".join(line.split())
        for line in report.splitlines()
        if line.startswith(("Total SRAM used", "CPU operators", "NPU operators"))
    )
    stem = f"{job.stem}_vela"
    return Artefact(
        f"{stem}.tflite",
        {f"{stem}.tflite": content, f"{stem}.txt": report.encode(), f"{stem}.csv": csv},
        (arch, *notes),
    )
