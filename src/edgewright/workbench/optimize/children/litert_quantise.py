"""Runs in `.venv-convert-litert`: `model.tflite` and `calib.npz` to `quantised.tflite`, by the
recipe named on the command line.
"""

import sys
import warnings

warnings.simplefilter("ignore")

import numpy as np  # noqa: E402  # warnings come at import
from ai_edge_litert.interpreter import Interpreter  # noqa: E402
from ai_edge_quantizer import calibrator, quantizer, recipe  # noqa: E402
from ai_edge_quantizer.utils import qsv_utils  # noqa: E402

RECIPES = {
    "int8 static": recipe.static_wi8_ai8,
    "int8 dynamic": recipe.dynamic_wi8_afp32,
    "int8 weights": recipe.weight_only_wi8_afp32,
    "int8 weights int16 activations": recipe.static_wi8_ai16,
}


def main(name: str) -> None:
    """Quantise the one file in the working directory."""
    with open("model.tflite", "rb") as file:  # noqa: PTH123  # a script of a few lines
        content = file.read()
    made = quantizer.Quantizer(content, RECIPES[name]())
    ranges = None
    if made.need_calibration:
        # The default update is a moving average, with which ranges collapse.
        watch = calibrator.Calibrator(
            content, num_threads=1, qsv_update_func=qsv_utils.min_max_update
        )
        watch.calibrate(samples(content), made._recipe_manager)  # noqa: SLF001  # no public way
        ranges = watch.get_model_qsvs()
    made.quantize(ranges).export_model("quantised.tflite", overwrite=True)


def samples(content: bytes) -> dict[str, list[dict[str, np.ndarray]]]:
    """One feed per row, by the names of the file's only signature."""
    signatures = Interpreter(model_content=content).get_signature_list()
    ((key, sides),) = signatures.items()
    arrays = np.load("calib.npz")
    columns = [arrays[f"input_{position}"] for position in range(len(sides["inputs"]))]
    rows = range(len(columns[0]))
    return {
        key: [
            {
                name: array[row : row + 1]
                for name, array in zip(sides["inputs"], columns, strict=True)
            }
            for row in rows
        ]
    }


main(sys.argv[1])
