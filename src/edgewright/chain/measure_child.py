"""A device's own measurement of a kit: `python -m edgewright.chain.measure_child FOLDER`.

The agent verified the folder just before. What `edgewright measure` finds of its models is printed
as JSON. It dies with its parent.
"""

import os
import sys
from pathlib import Path

import msgspec

from edgewright.chain.child import die_with_parent
from edgewright.chain.measuring import MeasureOrder, measure_files
from edgewright.errors import EdgewrightError
from edgewright.measure.comparison import Comparison
from edgewright.wire.kits import ORDER_FILE, KitOrder


def measure_kit(folder: Path) -> Comparison:
    """What is found of a kit's models, by their names in it.

    Raises:
        EdgewrightError: the first of them cannot run here.
    """
    order = msgspec.json.decode((folder / ORDER_FILE).read_bytes(), type=KitOrder)
    os.chdir(folder)
    return measure_files(
        MeasureOrder(
            files=tuple(Path(file.name) for file in order.models),
            inputs=Path(order.inputs.name),
            threads=order.threads,
            rounds=order.rounds,
            seconds=order.seconds,
            seed=order.seed,
            with_energy=order.with_energy,
            with_memory=order.with_memory,
        )
    )


if __name__ == "__main__":
    die_with_parent()
    try:
        found = measure_kit(Path(sys.argv[1]))
    except EdgewrightError as error:
        sys.exit(str(error))
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
