"""Which processes train: this one, several under torchrun, or Ray's workers."""

import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import msgspec

from edgewright import errors
from edgewright._fs import write_atomic
from edgewright.chain.ray_parts import ray_part
from edgewright.errors import EdgewrightError, InputError, ResourceError
from edgewright.stores import FolderObjects, ObjectStore
from edgewright.workbench.train import Progress, RunRecord, load_record
from edgewright.workbench.train.job import Job, Means, Trainer, do_job, encode_job
from edgewright.workbench.train.progress import OnProgress

JOB_FILE = "job.json"
_STOP_S = 10.0
_TAIL_LINES = 15


def trainer_for(means: Means) -> Trainer:
    """The way to do a job that these means name.

    Raises:
        InputError: an engine that nobody knows.
        UnavailableError: the engine is not installed.
    """
    if means.engine == "ray":
        trainer: Trainer = ray_part("training_ray").ray_trainer(
            means.processes, cluster=means.cluster
        )
        return trainer
    if means.engine != "torchrun":
        raise InputError(f"engine {means.engine!r}", hint="choose torchrun or ray")
    if means.processes > 1:
        return lambda job, tell: _under_torchrun(job, tell, processes=means.processes)
    return lambda job, tell: do_job(job, tell, mirror=open_mirror(job.mirror))


def open_mirror(address: str) -> ObjectStore | None:
    """The place that an address names: a folder, or `s3://bucket/prefix`.

    Raises:
        InputError: no such kind of place.
    """
    if not address:
        return None
    scheme = urlsplit(address).scheme
    if scheme == "s3":
        opened: ObjectStore = importlib.import_module("edgewright.stores.s3").S3Objects(address)
        return opened
    if scheme:
        raise InputError(f"mirror {address!r}: {scheme} is not known", hint="a folder, or s3://...")
    return FolderObjects(Path(address).expanduser())


def _under_torchrun(job: Job, tell: OnProgress, *, processes: int) -> RunRecord:
    path = Path(job.out_dir) / JOB_FILE
    write_atomic(path, encode_job(job))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(processes), "-m", "edgewright.chain.train_child", str(path)]
    environment = {"OMP_NUM_THREADS": str(job.options.threads), **os.environ}
    with tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=said, text=True, env=environment
        )
        assert child.stdout is not None  # noqa: S101 - a pipe was asked for
        failure: dict[str, Any] = {}
        try:
            for line in child.stdout:
                failure = _take(line, tell) or failure
            code = child.wait()
        finally:
            _stop(child)
            child.stdout.close()
        if failure:
            _raise(failure)
        if code:
            said.seek(0)
            tail = "".join(said.readlines()[-_TAIL_LINES:])
            raise ResourceError(
                f"a training process ended with {code}:\n{tail}", hint="--resume goes on"
            )
    return load_record(Path(job.out_dir))


def _take(line: str, tell: OnProgress) -> dict[str, Any] | None:
    """One line of a child: progress is told, an error is returned, anything else is passed on."""
    try:
        said = json.loads(line)
        kind = said.pop("kind")
    except (ValueError, AttributeError, KeyError):
        sys.stderr.write(line)
        return None
    if kind == "progress":
        tell(msgspec.convert(said, Progress))
        return None
    failed: dict[str, Any] = said
    return failed


def _raise(failure: dict[str, Any]) -> NoReturn:
    """The child's error as our own."""
    branch = getattr(errors, str(failure["branch"]), EdgewrightError)
    if branch is errors.GateError:
        raise errors.GateError(
            failure["what"],
            measured=failure["measured"],
            limit=failure["limit"],
            hint=failure["hint"],
        )
    raise branch(failure["message"], hint=failure["hint"])


def _stop(child: subprocess.Popen[str]) -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
