"""What bundles answer to their own golden requests on the machine that runs this:
`python answers.py OUT.npz BUNDLE...`. A JSON line says which machine that was.
"""

import json
import platform
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.bundle import unpack
from edgewright.bundle.golden import decode_golden
from edgewright.chain.engines import open_model_of


def answers(paths: Iterable[Path]) -> dict[str, NDArray[Any]]:
    """By bundle and output, `FOLDER/STEM:OUTPUT`."""
    found = {}
    for path in paths:
        with tempfile.TemporaryDirectory() as folder:
            bundle = unpack(path, Path(folder) / "slot")
            golden = decode_golden(bundle.read(bundle.blob("golden")))
            model = open_model_of(bundle)
            try:
                outputs = model.predict(golden.inputs)
            finally:
                model.close()
        found |= {f"{path.parent.name}/{path.stem}:{name}": a for name, a in outputs.items()}
    return found


if __name__ == "__main__":
    np.savez(sys.argv[1], **answers(map(Path, sys.argv[2:])))  # type: ignore[arg-type]
    print(json.dumps({"machine": platform.machine()}))
