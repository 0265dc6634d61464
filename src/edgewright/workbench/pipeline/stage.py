"""A stage as a value, and the walk that runs what changed and skips what did not.

The walk knows nothing of models: a stage says which stages it follows, what else could change its
outcome, and a function that writes its outputs into a folder.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from edgewright.clock import Clock, iso
from edgewright.workbench.pipeline.code import hash_rooms, library_versions
from edgewright.workbench.pipeline.manifests import (
    FinishedStage,
    StageManifest,
    StageStore,
    ensure_root,
    stage_key,
)

STORE = ".edgewright"
"""Where a project keeps finished stages."""

Facts = dict[str, str | int | float]
State = Literal["running", "done", "unchanged", "progress"]


class StageEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What a watcher is told."""

    stage: str
    state: State
    seconds: float = 0.0
    fraction: float = 0.0
    text: str = ""


Watcher = Callable[[StageEvent], None]


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What a running stage may use: the stages before it, folders of its own, a voice.

    What lies in `folder` at the end is kept. `desk` outlives a stop, so that a long stage can go on
    where it was; it is cleared when the stage is finished.
    """

    finished: Mapping[str, FinishedStage]
    folder: Path
    desk: Path
    watch: Watcher
    stage: str

    def tell(self, fraction: float, text: str) -> None:
        """Say how far it is."""
        self.watch(StageEvent(stage=self.stage, state="progress", fraction=fraction, text=text))

    def output(self, stage: str, name: str) -> Path:
        """An output of a stage before this one."""
        return self.finished[stage].output(name)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step of the chain.

    `rooms` and `libraries` name the code it runs, `options` its part of the project file, `reads`
    the hashes of files outside the project's store.
    """

    name: str
    follows: tuple[str, ...]
    rooms: tuple[str, ...]
    libraries: tuple[str, ...]
    options: object
    run: Callable[[Workshop], Facts]
    reads: Callable[[], Mapping[str, str]] = field(default=dict)


@dataclass(frozen=True, kw_only=True)
class Walk:
    """Which part of the chain, and who watches."""

    store: Path
    clock: Clock
    watch: Watcher
    start: str = ""
    stop: str = ""


def walk_stages(stages: Sequence[Stage], walk: Walk) -> dict[str, FinishedStage]:
    """Run the stages in order; what is finished under the same key is taken as it is.

    The stage `walk.start` runs even if nothing changed, and so do those that follow it, because its
    manifest is a new one; after `walk.stop` nothing
    runs.
    """
    ensure_root(walk.store)
    store = StageStore(walk.store)
    finished: dict[str, FinishedStage] = {}
    for stage in stages:
        finished[stage.name] = _one(stage, finished, store, walk)
        if stage.name == walk.stop:
            break
    return finished


def _one(
    stage: Stage,
    finished: Mapping[str, FinishedStage],
    store: StageStore,
    walk: Walk,
) -> FinishedStage:
    inputs = {name: finished[name].manifest.id for name in stage.follows}
    key = stage_key(
        stage.name,
        {
            "inputs": inputs,
            "options": msgspec.to_builtins(stage.options),
            "code": hash_rooms(stage.rooms),
            "libraries": library_versions(stage.libraries),
            "reads": dict(stage.reads()),
        },
    )
    if stage.name == walk.start:
        found = None
        store.clear_desk(stage.name, key)
    else:
        found = store.find(stage.name, key)
    if found:
        walk.watch(StageEvent(stage=stage.name, state="unchanged", seconds=found.manifest.seconds))
        return found
    walk.watch(StageEvent(stage=stage.name, state="running"))
    begun_s = walk.clock.monotonic_s()
    with store.beginning(stage.name, key) as draft:
        facts = stage.run(
            Workshop(
                finished=finished,
                folder=draft.folder,
                desk=store.desk(stage.name, key),
                watch=walk.watch,
                stage=stage.name,
            )
        )
        seconds = walk.clock.monotonic_s() - begun_s
        draft.finish(
            StageManifest(
                stage=stage.name,
                key=key,
                inputs=inputs,
                outputs={},
                facts=facts,
                seconds=round(seconds, 3),
                finished_at=iso(walk.clock.wall_s()),
            )
        )
    walk.watch(StageEvent(stage=stage.name, state="done", seconds=seconds))
    return store.finished(stage.name, key)
