"""Where variants are made: a recipe becomes a file and a session, or a row that says why not."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from edgewright import _fs
from edgewright.errors import DeviceError, EdgewrightError, InputError, UnavailableError
from edgewright.runtimes.base import Session
from edgewright.workbench.optimize.maker import Maker, OnnxMaker
from edgewright.workbench.optimize.report import Candidate
from edgewright.workbench.optimize.space import chained_recipes
from edgewright.workbench.optimize.trial import Trial
from edgewright.workbench.optimize.variants import (
    BASELINES,
    Chained,
    StaticInt8,
    VariantRecipe,
    engine_of,
)
from edgewright.workbench.optimize.workspace import Workspace


class Engines(msgspec.Struct, frozen=True, kw_only=True):
    """How a search makes, opens and weighs variants. `makers` are by format, the baseline's first;
    `chained` are those of compressed models, by chain; `open_file` takes an engine's name.
    """

    makers: dict[str, Maker]
    open_file: Callable[[str, Path], Session]
    more: tuple[VariantRecipe, ...] = ()
    chained: dict[str, dict[str, Maker]] = {}

    @property
    def all_on_cpu(self) -> bool:
        """Whether every engine computes on the CPU, where the time on a core tells all."""
        return not self.more


class Workshop:
    """Makes variants of one model; `failed` has a row for each that could not be made, `left_out`
    for each that need not be.
    """

    def __init__(self, engines: Engines, workspace: Workspace) -> None:
        self._engines = engines
        self._workspace = workspace
        self._onnx = next((m for m in engines.makers.values() if isinstance(m, OnnxMaker)), None)
        self._by_content: dict[tuple[str, bytes], str] = {}
        self.failed: list[Candidate] = []
        self.left_out: list[Candidate] = []

    @property
    def baseline(self) -> VariantRecipe:
        """What every variant is compared to."""
        return BASELINES[next(iter(self._engines.makers))]

    def recipes(self, *, exhaustive: bool) -> list[VariantRecipe]:
        """What to try: all that differ in speed or size, or the whole space; then other providers
        and compressed models.
        """
        makers, chained = self._engines.makers.values(), self._engines.chained.items()
        own = [one for m in makers for one in (m.everything() if exhaustive else m.recipes())]
        products = [one for chain, made in chained for one in chained_recipes(chain, made)]
        every = (*own, *self._engines.more, *products)
        return [recipe for recipe in every if recipe != self.baseline]

    def make(self, recipe: VariantRecipe) -> Trial | None:
        """The variant's file and session; None, and a row that says why, where there is none."""
        (maker, own), engine = self._maker(recipe), engine_of(recipe)
        path = self._workspace.path(recipe, maker.suffix)
        refusal = self._workspace.refusal(recipe)
        try:
            if refusal is not None:
                raise UnavailableError(refusal)
            if not path.exists():
                _fs.write_atomic(path, maker.make(own))
            content = path.read_bytes()
            twin = self._by_content.setdefault((engine, content), recipe.name)
            if twin != recipe.name:
                raise UnavailableError(f"the same file as {twin!r}")
            session = self._engines.open_file(engine, path)
        except UnavailableError as error:
            self._workspace.keep_refusal(recipe, error)
            self._fail(recipe, error)
            return None
        except (InputError, DeviceError) as error:
            self._fail(recipe, error)
            return None
        return Trial(recipe, path, session, len(content))

    def leave_out(self, recipe: VariantRecipe, reason: str) -> None:
        """A row for a variant that need not be made."""
        self.left_out.append(
            Candidate(
                format=recipe.format,
                recipe=recipe.name,
                verdict="rejected",
                reason=f"not made: {reason}",
            )
        )

    def open_again(self, trial: Trial) -> Session:
        """Another session of the variant's file; whoever asks closes it."""
        return self._engines.open_file(engine_of(trial.recipe), trial.path)

    def nodes(self) -> Sequence[str]:
        """Nodes of the ONNX graph that can be kept in float."""
        return () if self._onnx is None else self._onnx.nodes()

    def open_only(self, node: str, recipe: StaticInt8) -> Session | None:
        """A session with this one node in integers; None where it cannot be."""
        assert self._onnx  # noqa: S101  # it named the node
        path = self._workspace.folder / "sensitivity.onnx"
        try:
            _fs.write_atomic(path, self._onnx.make_only(node, recipe))
            return self._engines.open_file(self._onnx.format, path)
        except (UnavailableError, InputError):
            return None

    def _maker(self, recipe: VariantRecipe) -> tuple[Maker, VariantRecipe]:
        """Who makes it, and by which of its own recipes."""
        if isinstance(recipe, Chained):
            return self._engines.chained[recipe.chain][recipe.format], recipe.then
        return self._engines.makers[recipe.format], recipe

    def _fail(self, recipe: VariantRecipe, error: EdgewrightError) -> None:
        self.failed.append(
            Candidate(
                format=recipe.format,
                recipe=recipe.name,
                verdict="failed",
                reason=error.message,
            )
        )
