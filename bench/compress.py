"""How small and fast a run gets by its training recipe, at what cost on people it never saw.

    make prove SUITE=compress
    python bench/compress.py --architecture har-quick
    python bench/compress.py --plain      no chain: the network as it is, in other precisions

A network (`tcn-vae` unless said otherwise) learns activities from few people of HAPT (six classes,
windows of 2 s that do not overlap), so that a chain can be walked on one core in minutes; sixteen
others judge: a third of them while choosing, the others once. Every step goes on where a
stopped call left it: call again.
Ratios are to ONNX Runtime fp32 on this machine. An instruction set that it lacks is not guessed at:
the recorded CPU flags say what the figures hold for.
"""

import argparse
import sys
import time
from pathlib import Path

import msgspec

from _results import ROOT, Recording
from edgewright.chain.optimizing import OptimizeOrder, optimize_here
from edgewright.workbench.data import Dataset, Split
from edgewright.workbench.optimize import Candidate, OptimizeOptions, Progress
from edgewright.workbench.recipes.har import HarRecipe
from edgewright.workbench.train import Progress as Trained
from edgewright.workbench.train import RunOrigin, load_record, train, train_options

HAPT = ROOT.parent / "shared" / "data" / "hapt" / "hapt.npz"
SIX = ("WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING")
TRAINED = ("1", "3", "5", "6", "7")
WATCHED = ("8", "11", "14", "15", "16", "17", "19")
OFFICIAL_TEST = ("2", "4", "9", "10", "12", "13", "18", "20", "24")
SPLIT = Split(train=TRAINED, val=WATCHED, test=OFFICIAL_TEST, name="five people train")
MAX_DROP = 0.5
TRAINING = {
    "tcn-vae": {"epochs": 5, "lr": 1.5e-3, "schedule": "one-cycle"},
    "har-quick": {"epochs": 12},
}
KEEP = ("recipe", "size_bytes", "packed_bytes", "huffman_bytes", "metric", "metric_drop")
KEEP += ("metric_drop_upper", "latency_ratio", "latency_ratio_low", "latency_ratio_high")
KEEP += ("memory_bytes", "split", "rows", "verdict", "reason")


class Stages:
    """Where the CPU time of one call goes, by the first word of what the search says it does."""

    def __init__(self) -> None:
        self.cpu_s: dict[str, float] = {}
        self._stage, self._since_s = "training", time.process_time()

    def say(self, at: Progress) -> None:
        """Print it, and turn the clock over."""
        print(f"{at.done / at.total:.0%} {at.text}", file=sys.stderr, flush=True)
        self.enter(at.text.split()[0].rstrip(":"))

    def enter(self, stage: str) -> None:
        """What was spent so far is the last stage's."""
        now_s = time.process_time()
        spent_s = self.cpu_s.get(self._stage, 0.0) + now_s - self._since_s
        self.cpu_s[self._stage] = round(spent_s, 1)
        self._stage, self._since_s = stage, now_s


def main() -> None:
    arguments = _arguments()
    architecture = arguments.architecture
    name = "compress" if architecture == "tcn-vae" else f"compress-{architecture}"
    suite = f"{name}-plain" if arguments.plain else name
    chains = () if arguments.plain else tuple(arguments.chain)
    folder = ROOT / "build" / name
    recipe = HarRecipe().with_options(
        {
            "source": str(HAPT),
            "labels": list(SIX),
            "architecture": architecture,
            "hop_s": 2.0,
        },
        source="bench/compress.py",
    )
    stages = Stages()
    with Recording(suite) as recording:
        dataset = recipe.load_data(ROOT)
        run = _trained(recipe, dataset, folder / "run")
        stages.enter("reading")
        report = optimize_here(
            OptimizeOrder(
                model=run,
                data=ROOT,
                options=OptimizeOptions(max_drop=MAX_DROP, chains=chains, formats=("onnx",)),
                out=folder / ("best-plain" if arguments.plain else "best"),
            ),
            on_progress=stages.say,
        )
        record = load_record(run)
        recording.raw["run"] = {
            "weights": record.weights,
            "epochs": record.options.epochs,
            "people": SPLIT.train,
            "train_rows": record.train_rows,
        }
        recording.raw["split"] = msgspec.to_builtins(report.split)
        recording.raw["chains"] = list(chains)
        stages.enter("")
        recording.raw["cpu_s_by_stage"] = stages.cpu_s
        recording.raw["candidates"] = [
            {name: getattr(one, name) for name in KEEP} for one in report.candidates
        ]
        _figure(recording, report.best, report.candidates)
        recording.figures["search_cpu_s"] = report.search_cpu_s
        print(report.verdict)
        print(recording.figures)


def _figure(recording: Recording, best: Candidate, rows: tuple[Candidate, ...]) -> None:
    fp32 = next(row for row in rows if row.recipe == "fp32")
    assert fp32.size_bytes
    assert best.size_bytes
    assert fp32.metric is not None
    recording.figures["fp32_accuracy_percent"] = round(fp32.metric, 2)
    recording.figures["chosen"] = best.recipe
    recording.figures["times_smaller"] = round(fp32.size_bytes / best.size_bytes, 2)
    if best.packed_bytes and fp32.packed_bytes:
        recording.figures["times_smaller_packed"] = round(fp32.packed_bytes / best.packed_bytes, 2)
    if best.latency_ratio:
        recording.figures["times_faster"] = round(1 / best.latency_ratio, 2)
    if best.metric_drop is not None and best.metric_drop_upper is not None:
        recording.figures["drop_points"] = round(best.metric_drop, 2)
        recording.figures["drop_upper_points"] = round(best.metric_drop_upper, 2)


def _trained(recipe: HarRecipe, dataset: Dataset, folder: Path) -> Path:
    if (folder / "run.json").is_file():
        return folder
    raw = {"seed": 1, "threads": 1, **TRAINING[recipe.options.architecture]}
    train(
        recipe,
        recipe.cut(dataset, SPLIT.train),
        recipe.cut(dataset, SPLIT.val),
        train_options(recipe, raw, source="bench/compress.py"),
        folder,
        resume=True,
        origin=RunOrigin(dataset=dataset.content_hash, split=SPLIT),
        on_progress=_say_training,
    )
    return folder


def _say_training(at: Trained) -> None:
    if at.epoch_done:
        print(f"epoch {at.epoch} of {at.epochs}: {at.epoch_done.val}", file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--architecture", choices=tuple(TRAINING), default="tcn-vae")
    parser.add_argument("--chain", nargs="+", default=["prune=0.65,distil=20"])
    parser.add_argument("--plain", action="store_true", help="walk no chain")
    return parser.parse_args()


if __name__ == "__main__":
    main()
