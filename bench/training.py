"""How fast the training loop is against a bare torch loop of the same model, interleaved.

    python bench/training.py [--rounds 5]

Both learn the same windows in the same batches with the same optimizer on one thread: once without
what a bare loop does not do (augmentation, mixing, averaged weights), once with the defaults. The
share of loading is the time to form the batches over the time of the epoch.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from _results import Recording
from edgewright.contract import Channel
from edgewright.workbench.data import WindowSet
from edgewright.workbench.recipes.har import AugmentOptions, HarOptions, HarRecipe
from edgewright.workbench.train import Progress, TrainOptions, train
from edgewright.workbench.train.batches import Batches

ROWS, BATCH = 640, 64
PLAIN = AugmentOptions(rotation_deg=0.0, scaling=0.0, jitter=0.0)
CHANNELS = tuple(
    Channel(name=f"{sensor}_{axis}", unit=unit)
    for sensor, unit in (("acc", "g"), ("gyro", "rad/s"))
    for axis in "xyz"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    windows = make_windows()
    with Recording("training") as recording:
        for architecture in ("har-quick", "gru"):
            for name, recipe, options in ways(architecture):
                bare, ours = [], []
                for _ in range(rounds):
                    bare.append(bare_rows_per_s(recipe, windows))
                    ours.append(loop_rows_per_s(recipe, windows, options))
                ratios = [o / b for o, b in zip(ours, bare, strict=True)]
                key = f"{architecture}_{name}".replace("-", "_")
                recording.raw[key] = {"bare_rows_per_s": bare, "loop_rows_per_s": ours}
                recording.figures[f"{key}_throughput_ratio"] = round(statistics.median(ratios), 3)
                recording.figures[f"{key}_throughput_ratio_lowest"] = round(min(ratios), 3)
                share = loading_s(recipe, windows, options) * statistics.median(ours) / ROWS
                recording.figures[f"{key}_loading_percent"] = round(100 * share, 1)
        print(recording.figures)


def ways(architecture: str) -> list[tuple[str, HarRecipe, TrainOptions]]:
    common = {"epochs": 2, "batch_size": BATCH, "threads": 1, "device": "cpu"}
    plain = TrainOptions(**common, mixup=0.0, averaging=0.0)
    return [
        ("plain", HarRecipe(HarOptions(architecture=architecture, augment=PLAIN)), plain),
        ("defaults", HarRecipe(HarOptions(architecture=architecture)), TrainOptions(**common)),
    ]


def make_windows() -> WindowSet:
    rng = np.random.default_rng(0)
    return WindowSet(
        x=rng.normal(size=(ROWS, 100, 6)).astype(np.float32),
        y=np.arange(ROWS) % 6,
        subject=np.array([str(n % 5) for n in range(ROWS)]),
        recording=np.array([str(n % 5) for n in range(ROWS)]),
        start=np.arange(ROWS),
        channels=CHANNELS,
        label_names=tuple("abcdef"),
        rate_hz=50.0,
    )


def bare_rows_per_s(recipe: HarRecipe, windows: WindowSet) -> float:
    """A loop as a tutorial has it."""
    torch.manual_seed(0)
    module = recipe.build(recipe.facts(windows))
    recipe.fit(module, windows)
    module = module.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-4)
    x, y = torch.from_numpy(windows.x), torch.from_numpy(windows.y)
    seconds = 0.0
    for _ in range(2):
        began_s = time.perf_counter()
        order = torch.randperm(ROWS)
        for first in range(0, ROWS, BATCH):
            rows = order[first : first + BATCH]
            optimizer.zero_grad(set_to_none=True)
            loss = functional.cross_entropy(module(x[rows])[-1], y[rows])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
        seconds = time.perf_counter() - began_s
    return ROWS / seconds


def loop_rows_per_s(recipe: HarRecipe, windows: WindowSet, options: TrainOptions) -> float:
    """The second epoch of the real thing."""
    speeds: list[float] = []

    def note(progress: Progress) -> None:
        if progress.epoch == 2 and progress.epoch_done is None:
            speeds.append(progress.rows_per_s)

    few = windows.take(np.arange(64))
    with tempfile.TemporaryDirectory() as folder:
        train(recipe, windows, few, options, Path(folder), on_progress=note)
    return speeds[-1]


def loading_s(recipe: HarRecipe, windows: WindowSet, options: TrainOptions) -> float:
    """The time to form an epoch's batches when nothing is learnt from them."""
    batches = Batches(windows, recipe.task, options, torch.device("cpu"))
    facts, times = recipe.facts(windows), []
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        began_s = time.perf_counter()
        for _ in batches.epoch(recipe, facts, generator):
            pass
        times.append(time.perf_counter() - began_s)
    return min(times)


if __name__ == "__main__":
    main()
