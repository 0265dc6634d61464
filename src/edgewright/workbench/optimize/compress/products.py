"""What the steps of a chain leave: a float graph after distillation, a graph for one integer grid
after training on it. Each step that teaches keeps a checkpoint, so a stopped search goes on.
"""

import copy
import hashlib
import tempfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np
import onnx
from torch import nn

from edgewright.errors import UnavailableError
from edgewright.measure import describe_machine
from edgewright.workbench.convert import read_onnx
from edgewright.workbench.convert.contract_file import graph_outputs
from edgewright.workbench.convert.torch_onnx import export_onnx, plain_weights
from edgewright.workbench.optimize.chain import Chain, Step
from edgewright.workbench.optimize.compress.grid import GridGraph, grid_of, with_weights
from edgewright.workbench.optimize.compress.lessons import Lessons
from edgewright.workbench.optimize.compress.pruning import without_channels, without_taps
from edgewright.workbench.optimize.compress.teaching import Course, teach
from edgewright.workbench.optimize.quantise import static_int8
from edgewright.workbench.optimize.ranges import Ranges, observe, ranges_by
from edgewright.workbench.optimize.report import Candidate
from edgewright.workbench.optimize.rewrite import prepared, tidied
from edgewright.workbench.optimize.space import Compress, Product, Space, Tell
from edgewright.workbench.optimize.variants import StaticInt8

_GRID_LR_SHARE = 0.1
_GRID_EPOCHS_SHARE = 4
"""Training on the grid starts from a model that knows its task: a quarter of the epochs."""

_FULL, _REDUCED = 127, 64
"""The largest weight with 8 bits and with 7, as ONNX Runtime's quantiser has them."""

_VNNI = frozenset({"avx512_vnni", "avx_vnni", "asimd"})


def compressor(lessons: Lessons, chains: Sequence[Chain]) -> Compress:
    """What makes every product of some chains; a chain that this network refuses leaves a row."""

    def compress(space: Space, folder: Path, tell: Tell) -> tuple[list[Product], list[Candidate]]:
        made: list[Product] = []
        refused: list[Candidate] = []
        wanted = {part.name: part for chain in chains for part in chain.products}
        forge = Forge(lessons, space, folder)
        for position, part in enumerate(wanted.values()):
            told = _part_of(tell, position, len(wanted), part.name)
            try:
                made.append(forge.product(part, told))
            except UnavailableError as error:
                refused.append(
                    Candidate(
                        format="onnx", recipe=part.name, verdict="failed", reason=error.message
                    )
                )
        return made, refused

    return compress


def _part_of(tell: Tell, position: int, count: int, name: str) -> Tell:
    return lambda share, text: tell((position + share) / count, f"{name}: {text}")


class Forge:
    """Makes the products of one run; steps that chains share are done once."""

    def __init__(self, lessons: Lessons, space: Space, folder: Path) -> None:
        self._lessons = lessons
        self._space = space
        self._folder = folder
        self._modules: dict[tuple[Step, ...], nn.Module] = {}
        self._graphs: dict[tuple[Step, ...], onnx.ModelProto] = {}
        self._ranges: dict[tuple[Step, ...], Ranges] = {}

    def product(self, chain: Chain, tell: Tell) -> Product:
        """What the chain leaves.

        Raises:
            UnavailableError: a step cannot be applied to this network.
        """
        if not chain.is_on_grid:
            return Product(chain=chain.name, model=self._float_graph(chain.steps, tell))
        return Product(
            chain=chain.name,
            model=self._grid_graph(chain.steps, tell),
            recipe=self._recipe,
            ranges=self._ranges[_before_grid(chain.steps)],
        )

    @cached_property
    def _recipe(self) -> StaticInt8:
        """Weights keep to 7 bits where the CPU cannot add products of 8 bits safely."""
        has_room = bool(_VNNI.intersection(describe_machine().flags))
        return StaticInt8(
            activations="u8",
            weights="s8",
            per_channel=True,
            reduce_range=not has_room,
            calibrator="percentile",
        )

    def _module(self, steps: tuple[Step, ...], tell: Tell) -> nn.Module:
        """The network after steps that come before any grid; the last one is done here."""
        if not steps:
            return plain_weights(self._lessons.teacher)
        if steps not in self._modules:
            module = copy.deepcopy(self._module(steps[:-1], tell))
            last, example = steps[-1], self._lessons.example
            match last.kind:
                case "prune":
                    module = without_channels(module, example, last.amount)
                case "dilate":
                    module = without_taps(module)
                case _:
                    options = self._lessons.record.options
                    course = Course(epochs=int(last.amount) or options.epochs, lr=options.lr)
                    self._teach(module, course, steps, tell)
            self._modules[steps] = module
        return self._modules[steps]

    def _float_graph(self, steps: tuple[Step, ...], tell: Tell) -> onnx.ModelProto:
        if steps not in self._graphs:
            module, lessons = self._module(steps, tell), self._lessons
            tell(1.0, "exporting")
            with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
                path = Path(folder) / "student.onnx"
                export_onnx(
                    module,
                    tuple(tensor.numpy() for tensor in lessons.example),
                    path,
                    inputs=tuple(lessons.train.inputs),
                    outputs=graph_outputs(lessons.recipe.contract(lessons.record.facts)),
                )
                graph = prepared(read_onnx(path))
            self._graphs[steps] = tidied(graph) or graph
        return self._graphs[steps]

    def _grid_graph(self, steps: tuple[Step, ...], tell: Tell) -> onnx.ModelProto:
        """The graph after steps on the grid; the last one is done here."""
        if steps not in self._graphs:
            base = _before_grid(steps)
            ranges = self._ranges_of(base, tell)
            earlier = steps[:-1]
            start = self._float_graph(base, tell) if earlier == base else self._graphs.get(earlier)
            start = start or self._grid_graph(earlier, tell)
            limit = _REDUCED if self._recipe.reduce_range else _FULL
            graph = GridGraph(start, grid_of(static_int8(start, ranges, self._recipe), limit=limit))
            # What an earlier step settled stays settled: a mask before shared weights.
            for step in steps[len(base) :]:
                if step.kind == "sparse":
                    graph.thin(step.amount)
                elif step.kind == "cluster":
                    graph.share(int(step.amount))
            options, last = self._lessons.record.options, steps[-1]
            given = int(last.amount) if last.kind == "qat" else 0
            course = Course(
                epochs=given or max(options.epochs // _GRID_EPOCHS_SHARE, 1),
                lr=options.lr * _GRID_LR_SHARE,
                in_training=False,
            )
            self._teach(graph, course, steps, tell)
            self._graphs[steps] = with_weights(start, graph.weights())
        return self._graphs[steps]

    def _ranges_of(self, base: tuple[Step, ...], tell: Tell) -> Ranges:
        if base not in self._ranges:
            graph = self._float_graph(base, tell)
            seen = observe(graph, self._space.calibration, self._space.open_model)
            self._ranges[base] = ranges_by(self._recipe.calibrator, seen)
        return self._ranges[base]

    def _teach(
        self, student: nn.Module, course: Course, steps: tuple[Step, ...], tell: Tell
    ) -> None:
        digest = hashlib.sha256(msgspec.json.encode((steps, course))).hexdigest()[:24]
        teach(
            student,
            self._lessons,
            course,
            checkpoint=self._folder / f"student-{digest}.pt",
            tell=tell,
        )


def _before_grid(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    at = int(np.argmax([step.kind == "qat" for step in steps]))
    return steps[:at]
