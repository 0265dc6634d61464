"""Whether the search finds what an exhaustive one finds, and what it costs beside it.

    make prove SUITE=optimize
    python bench/optimize.py mlp-svg gru        some of the models; the file has what is done

Eight models, each searched twice over the same space (every ONNX Runtime variant): by `optimize`
as it is, and exhaustively, where every structure meets every calibrator and every variant the
whole select set and as many rounds as a finalist. CPU seconds are those that each search took,
variants that were made and rejected included. The two winners are then run against each other once
more, in several pairs of sessions with interleaved rounds, by the time that a call has a core;
where they are the same file that is said to be equal.

Labels are real for the activity encoder (people of HAPT) and ResNet-8 (CIFAR-10). The other models
are judged by their own float answers on patterns or noise: what is asked here is which variant is
found, not how good the model is. TensorFlow Lite files become ONNX in TensorFlow's environment.
Searches that are done lie in `build/optimize`, each model's with the commit that it was compared
at; call again to go on, also amid a search: its CPU seconds are added up.
"""

import argparse
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec
import numpy as np

from _optimized_models import CASES, Case
from _results import ROOT, Recording, commit
from edgewright import _fs
from edgewright._npz import encode_npz
from edgewright.chain.engines import engine_for_format
from edgewright.chain.optimizing import engines_here
from edgewright.contract import encode_json
from edgewright.measure.latency import interleaved
from edgewright.runtimes.base import Array
from edgewright.workbench.optimize import OptimizeOptions, OptimizeReport, optimize
from edgewright.workbench.optimize.place import Measured, together
from edgewright.workbench.optimize.trial import caller

NEAR = 1.03
CPU_SHARE = 0.4
SITTINGS = 8
ROUNDS = 40
_SECONDS = 4.0


class Searched(msgspec.Struct, frozen=True, kw_only=True):
    """What one search chose, and what it took."""

    chosen: str
    ratio: float | None
    cpu_s: float
    candidates: int
    failed: int
    rounds: int


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """Both searches of one model; `over_best` is the p50 of the frugal search's choice over that
    of the exhaustive one's, with its interval, from one run of both.
    """

    model: str
    commit: str
    labels: str
    max_drop: float
    frugal: Searched
    exhaustive: Searched
    cpu_share: float
    over_best: float
    over_best_low: float | None
    over_best_high: float | None


def main() -> None:
    names = _arguments().models or list(CASES)
    folder = _fs.make_dirs(ROOT / "build" / "optimize")
    with Recording("optimize") as recording:
        for name in names:
            _compare(name, folder / name)
        done = [
            msgspec.json.decode(path.read_bytes(), type=Compared)
            for name in CASES
            if (path := folder / name / "compared.json").exists()
        ]
        recording.raw["models"] = [msgspec.to_builtins(one) for one in done]
        recording.raw["not_run"] = [n for n in CASES if n not in {one.model for one in done}]
        recording.figures["models"] = len(done)
        recording.figures["within_3_percent"] = sum(one.over_best <= NEAR for one in done)
        recording.figures["largest_over_best"] = round(max(one.over_best for one in done), 3)
        recording.figures["within_cpu_share"] = sum(one.cpu_share <= CPU_SHARE for one in done)
        recording.figures["median_cpu_share"] = round(
            float(np.median([one.cpu_share for one in done])), 3
        )
        recording.figures["largest_cpu_share"] = round(max(one.cpu_share for one in done), 3)
        print(recording.figures)


def _compare(name: str, folder: Path) -> None:
    path = _fs.make_dirs(folder) / "compared.json"
    if path.exists():
        return
    case = CASES[name](folder)
    _fs.write_atomic(folder / "calib.npz", encode_npz(case.calibration))
    _fs.write_atomic(folder / "eval.npz", encode_npz(case.evaluation))
    frugal = _search(case, folder / "frugal", exhaustive=False)
    exhaustive = _search(case, folder / "exhaustive", exhaustive=True)
    over_best = _over_best(case, folder)
    compared = Compared(
        model=name,
        commit=commit(),
        labels=case.labels,
        max_drop=case.max_drop,
        frugal=_told(frugal),
        exhaustive=_told(exhaustive),
        cpu_share=round(frugal.search_cpu_s / exhaustive.search_cpu_s, 3),
        over_best=over_best[0],
        over_best_low=over_best[1],
        over_best_high=over_best[2],
    )
    _fs.write_atomic(path, encode_json(compared))
    print(compared, file=sys.stderr, flush=True)


def _search(case: Case, out: Path, *, exhaustive: bool) -> OptimizeReport:
    """A search that is done is not done again."""
    if (out / "report.json").exists():
        return msgspec.json.decode((out / "report.json").read_bytes(), type=OptimizeReport)
    return optimize(
        case.model,
        out.parent / "calib.npz",
        out.parent / "eval.npz",
        OptimizeOptions(max_drop=case.max_drop, formats=("onnx",), exhaustive=exhaustive),
        out,
        runtimes=engines_here(("onnx",)),
    )


def _over_best(case: Case, folder: Path) -> tuple[float, float | None, float | None]:
    """One where both chose the same file: two sessions of it differ by noise alone."""
    first, second = (
        (folder / name / "best.onnx").read_bytes() for name in ("frugal", "exhaustive")
    )
    if first == second:
        return 1.0, 1.0, 1.0
    inputs = {name: array[:1] for name, array in case.calibration.items()}
    rng = np.random.default_rng(0)
    ratio = together([_sitting(folder, inputs, rng) for _ in range(SITTINGS)], rng=rng).ratio
    assert ratio
    return ratio.value, ratio.low, ratio.high


def _sitting(folder: Path, inputs: dict[str, Array], rng: np.random.Generator) -> Measured:
    """Sessions of their own: each has its luck for as long as it lives."""
    runtime = engine_for_format("onnx")
    names = ("frugal", "exhaustive")
    with ExitStack() as opened:
        sessions = {
            name: opened.enter_context(
                closing(runtime.open(folder / name / "best.onnx", threads=1))
            )
            for name in names
        }
        samples = interleaved(
            {name: caller(session, inputs) for name, session in sessions.items()},
            rounds=ROUNDS,
            seconds=_SECONDS,
            rng=rng,
            clock=time.thread_time,
        )
    return Measured(ratio=samples.ratio(*names, rng=rng), rounds=samples.rounds)


def _told(report: OptimizeReport) -> Searched:
    best = report.best
    return Searched(
        chosen=best.recipe,
        ratio=best.latency_ratio,
        cpu_s=report.search_cpu_s,
        candidates=len(report.candidates),
        failed=sum(one.verdict == "failed" for one in report.candidates),
        rounds=best.latency_rounds,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help=", ".join(CASES))
    arguments = parser.parse_args()
    if unknown := set(arguments.models) - set(CASES):
        parser.error(f"no such models: {', '.join(sorted(unknown))}")
    return arguments


if __name__ == "__main__":
    main()
