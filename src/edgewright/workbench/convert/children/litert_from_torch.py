"""Runs in `.venv-convert-litert`: `model.pt2` (torch.export) to `model.tflite`."""

import warnings

warnings.simplefilter("ignore")

import litert_torch  # noqa: E402  # warnings come at import
import torch  # noqa: E402


def main() -> None:
    """Convert the one file in the working directory."""
    program = torch.export.load("model.pt2")
    litert_torch.convert(program.module(), program.example_inputs[0]).export("model.tflite")


main()
