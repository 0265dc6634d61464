"""ExecuTorch programs for CPUs: XNNPACK takes what it can, portable kernels take the rest."""

import contextlib
import logging
import warnings
from collections import Counter
from collections.abc import Iterator

from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower

from edgewright.errors import UnavailableError
from edgewright.workbench.convert.artefact import Artefact, Job
from edgewright.workbench.convert.prepare import with_batch, with_four_dimensions
from edgewright.workbench.convert.torch_files import exported


def executorch_artefact(job: Job) -> Artefact:
    """`net.pte` for one sample; a note names the operators that XNNPACK left to portable kernels.

    Raises:
        UnavailableError: torch or ExecuTorch cannot take the graph.
    """
    program = exported(with_four_dimensions(with_batch(job.model)))
    with _quietly():
        lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
        left = Counter(
            str(node.target).split("aten.")[-1].split(":")[0].rstrip("'>")
            for node in lowered.exported_program().graph.nodes
            if node.op == "call_function" and "aten." in str(node.target)
        )
        content = bytes(lowered.to_executorch().buffer)
    name = f"{job.stem}.pte"
    slow = ", ".join(f"{count}x {kind}" for kind, count in sorted(left.items()))
    notes = (f"XNNPACK left to portable kernels: {slow}",) if left else ()
    return Artefact(name, {name: content}, ("one sample per call", *notes))


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UnavailableError(
            f"ExecuTorch cannot take this graph: {reason[0][:300]}", hint="try another format"
        ) from error
    finally:
        logging.disable(level)
