"""Which engines a search uses: the model's own, those of the formats that are searched, others that
the float file can run on.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from edgewright.errors import UnavailableError
from edgewright.runtimes import Runtime, Session
from edgewright.runtimes.base import Array
from edgewright.workbench.optimize.catalogue import CatalogueTarget
from edgewright.workbench.optimize.evaluation import Tensors
from edgewright.workbench.optimize.options import OptimizeOptions
from edgewright.workbench.optimize.trial import like_the_model
from edgewright.workbench.optimize.variants import (
    FORMATS,
    ONNX,
    ProviderFp32,
    VariantRecipe,
    engine_of,
)

Runtimes = Mapping[str, Runtime | UnavailableError]
"""Engines by format, or why there is none."""


class Weigh(Protocol):
    """Measures the memory that one file needs with one engine."""

    def __call__(
        self, engine: str, path: Path, *, inputs: Mapping[str, Array], threads: int
    ) -> int: ...


def engine_of_the_model(runtimes: Runtimes) -> Runtime:
    """What asks the model itself, whatever is searched."""
    runtime = runtimes.get(ONNX)
    if isinstance(runtime, UnavailableError):
        raise runtime
    if runtime is None:
        raise UnavailableError(
            f"no engine for format {ONNX!r} is installed here",
            hint="pip install onnxruntime",
        )
    return runtime


def searched_formats(
    runtimes: Runtimes,
    target: CatalogueTarget | None,
    options: OptimizeOptions,
) -> tuple[str, ...]:
    """What is searched: what was asked for, what the target runs.

    Raises:
        UnavailableError: this target runs nothing that can be searched.
    """
    given = options.formats or tuple(name for name in FORMATS if name in runtimes)
    wanted = tuple(name for name in given if target is None or name in target.formats)
    if target is not None and not wanted:
        raise UnavailableError(
            f"target {target.name!r} runs {', '.join(target.formats)}; "
            f"this search makes {', '.join(given)} variants",
            hint=f"optimise without --target, then `edgewright convert --to {target.formats[0]}`",
        )
    return wanted


def opener(
    runtimes: Runtimes,
    threads: int,
    tensors: Tensors,
) -> Callable[[str, Path], Session]:
    """Opens a file with an engine, by its name; its tensors are called as the model's."""

    def open_file(engine: str, path: Path) -> Session:
        runtime = runtimes[engine]
        if isinstance(runtime, UnavailableError):
            raise runtime
        session = runtime.open(path, threads=threads)
        return session if engine == ONNX else like_the_model(session, *tensors)

    return open_file


def providers(runtimes: Runtimes, target: CatalogueTarget | None) -> tuple[VariantRecipe, ...]:
    """The float file on a GPU, where one was handed in and the target is this machine."""
    recipes = (ProviderFp32(provider="cuda"), ProviderFp32(provider="tensorrt"))
    return tuple(one for one in recipes if target is None and engine_of(one) in runtimes)
