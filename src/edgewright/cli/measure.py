"""`edgewright measure`: model files against each other, on the machine it runs on."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgewright.cli._numbers import NumberRange
from edgewright.cli._output import json_option, print_json, print_table, say

if TYPE_CHECKING:
    from edgewright.measure.comparison import Comparison, FileMeasured

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("files", type=_FILE, nargs=-1, required=True, metavar="FILE...")
@click.option("--inputs", type=_FILE, required=True, help="One array per input (.npz).")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--rounds", type=click.IntRange(2, 100_000), default=300, show_default=True)
@click.option("--seconds", type=NumberRange(0, 3600), default=8.0, show_default=True,
              help="Of all rounds together, at most.")  # fmt: skip
@click.option("--energy", is_flag=True, help="Also the energy of a call, by counters or CPU time.")
@click.option("--memory", is_flag=True, help="Also the peak of a process of its own.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of the order of rounds.",
)
@json_option
def measure(
    *,
    files: tuple[Path, ...],
    inputs: Path,
    threads: int,
    rounds: int,
    seconds: float,
    energy: bool,
    memory: bool,
    seed: int,
    as_json: bool,
) -> None:
    """Compare model FILEs with the first of them, on this machine.

    All are called in rounds that take turns in random order, after warm-up, with the first rows of
    the npz. On one thread the process keeps to one core, and the time that a call has it is
    measured. A file that cannot run here says why. `optimize --measure-on` starts this on a device.
    """
    from edgewright.chain.measuring import MeasureOrder, measure_files

    found = measure_files(
        MeasureOrder(
            files=files,
            inputs=inputs,
            threads=threads,
            rounds=rounds,
            seconds=seconds,
            seed=seed,
            with_energy=energy,
            with_memory=memory,
        )
    )
    if as_json:
        print_json("measure", found)
        return
    _show(found)


def _show(found: "Comparison") -> None:
    columns = ("file", "kB", "MB", "p50", "p50 over the first", "energy over the first", "why not")
    print_table("", columns, [_row(one) for one in found.files])
    where = "" if found.core is None else f", kept on core {found.core}"
    say(f"{found.machine.text}; {found.clock}{where}")
    if found.energy:
        say(found.energy)


def _row(one: "FileMeasured") -> tuple[str, ...]:
    return (
        one.file,
        f"{one.size_bytes / 1000:.1f}",
        "" if one.memory_bytes is None else f"{one.memory_bytes / 1e6:.0f}",
        one.latency_ms.text("ms") if one.latency_ms else "",
        one.latency_ratio.text() if one.latency_ratio else "",
        one.energy_ratio.text() if one.energy_ratio else "",
        one.reason,
    )
