"""What LiteRT computes on the way through a file, on its own kernels (a delegate hides them)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from edgewright import _fs
from edgewright.errors import InputError
from edgewright.runtimes.base import Array
from edgewright.workbench.verify.traces import Trace, TracedNode

_LIMIT_BYTES = 2 << 30
_ROUNDED = frozenset({np.dtype(kind) for kind in ("int8", "uint8", "int16", "float16")})


def litert_trace(path: Path, arrays: Mapping[str, Array]) -> Trace:
    """Every tensor of one pass per row, rows stacked; inputs in the order of the file.

    Raises:
        InputError: LiteRT cannot load or run the file.
    """
    try:
        interpreter = _opened(path)
        details: list[dict[str, Any]] = interpreter._get_ops_details()  # noqa: SLF001  # no public way
        names = {one["index"]: one["name"] for one in interpreter.get_tensor_details()}
        made = [int(index) for one in details for index in one["outputs"]]
        rows: list[dict[str, Array]] = []
        for row in range(len(next(iter(arrays.values())))):
            for one, array in zip(interpreter.get_input_details(), arrays.values(), strict=True):
                interpreter.set_tensor(one["index"], array[row : row + 1].astype(one["dtype"]))
            interpreter.invoke()
            rows.append({names[index]: interpreter.get_tensor(index).copy() for index in made})
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"{path}: LiteRT cannot show its inner tensors: {str(error).splitlines()[0][:200]}"
        ) from error
    nodes = tuple(
        TracedNode(
            names[int(one["outputs"][0])],
            one["op_name"],
            tuple(names[int(index)] for index in one["inputs"] if int(index) in names),
            tuple(names[int(index)] for index in one["outputs"]),
        )
        for one in details
    )
    return Trace(nodes, {name: np.concatenate([row[name] for row in rows]) for name in rows[0]})


def is_lossy_lite(path: Path) -> bool:
    """Whether a LiteRT file computes in integers somewhere, or stores rounded weights."""
    return any(np.dtype(one["dtype"]) in _ROUNDED for one in _opened(path).get_tensor_details())


def _opened(path: Path) -> Interpreter:
    interpreter = Interpreter(
        model_content=_fs.read_limited(path, limit_bytes=_LIMIT_BYTES),
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    return interpreter
