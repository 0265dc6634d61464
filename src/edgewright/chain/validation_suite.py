"""From a suite file to the orders that are carried out."""

from collections.abc import Callable
from pathlib import Path

from edgewright._fs import read_limited
from edgewright.chain.validation import Accuracy, ValidationOrder
from edgewright.validate import scenario_named
from edgewright.validate.given import Engine
from edgewright.validate.suite import Load, Scene, Suite, decode_suite, placed
from edgewright.validate.ways import Way

SUITE_LIMIT_BYTES = 1 << 20
DEFAULT_SCENARIO = "single-stream"


def read_suite(path: Path) -> Suite:
    """A suite file, TOML or, by its name, JSON; its paths are the file's neighbours.

    Raises:
        InputError: there is none, or it is not one.
    """
    content = read_limited(path, limit_bytes=SUITE_LIMIT_BYTES)
    suite = decode_suite(content, source=str(path), is_json=path.suffix == ".json")
    return placed(suite, path.absolute().parent)


def orders_of(
    suite: Suite, way: Way, *, engine: Callable[[Path], Engine]
) -> tuple[ValidationOrder, ...]:
    """An order for each scenario of a suite."""
    return tuple(
        order_of(suite, scene.name, way, scene=scene, engine=engine) for scene in suite.scenarios
    )


def order_of(
    suite: Suite,
    scenario: str,
    way: Way,
    *,
    engine: Callable[[Path], Engine],
    scene: Scene | None = None,
) -> ValidationOrder:
    """The order for one scenario; without a scene the suite's `[load]` counts alone."""
    load = suite.load if scene is None else suite.load_of(scene)
    limits, truth = suite.limits, suite.truth
    p95_ms = scene.p95_ms if scene is not None else None
    return ValidationOrder(
        target=suite.target,
        scenario=scenario_named(scenario or _usual(load)),
        model=suite.model or None,
        rate_rps=load.rps,
        p95_ms=p95_ms if p95_ms is not None else limits.p95_ms,
        memory_mb=limits.memory_mb,
        seconds=load.seconds,
        connections=load.connections,
        golden=_path(truth.golden),
        bundle=_path(truth.bundle),
        accuracy=Accuracy(
            labelled=_path(truth.labelled),
            reference=truth.reference or None,
            min_percent=limits.min_accuracy,
            max_drop=limits.max_drop,
            output=truth.label_output,
        ),
        recording=_path(load.recording),
        speed=load.speed or 1.0,
        admin=_path(suite.server.admin),
        swap_to=_path(suite.server.swap_to),
        way=way,
        engine=engine(Path(load.loadgen_logs)) if load.loadgen_logs else None,
        attempts=suite.attempts,
        stops_early=bool(load.early_stop),
        seed=suite.seed,
    )


def _usual(load: Load) -> str:
    return "replay" if load.recording else DEFAULT_SCENARIO


def _path(text: str) -> Path | None:
    return Path(text) if text else None
