"""One of several training processes: joins the team that torchrun names, does its part of a job.

torchrun --nproc-per-node 2 -m edgewright.chain.train_child JOB.json

The leader prints its progress as JSON lines. On several machines, start it on each with torchrun's
own `--nnodes` and `--rdzv-endpoint`, and the job's folders on a shared drive.
"""

import json
import os
import sys
from pathlib import Path

import msgspec
import torch
from torch import distributed

from edgewright.chain.training import open_mirror
from edgewright.errors import EdgewrightError, GateError
from edgewright.workbench.train import Progress
from edgewright.workbench.train.job import do_job, read_job


def main(path: Path) -> int:
    """Do the job that a file describes; returns the exit code."""
    job = read_job(path)
    backend = "nccl" if torch.cuda.is_available() and job.options.device != "cpu" else "gloo"
    if backend == "nccl":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group(backend)
    leads = distributed.get_rank() == 0
    try:
        do_job(job, _print if leads else lambda _: None, mirror=open_mirror(job.mirror))
    except EdgewrightError as error:
        _say({"kind": "error", "branch": type(error).__name__, **_facts(error)})
        return error.exit_code
    finally:
        distributed.destroy_process_group()
    return 0


def _facts(error: EdgewrightError) -> dict[str, object]:
    facts: dict[str, object] = {"message": error.message, "hint": error.hint}
    if isinstance(error, GateError):
        what = error.message.partition(" is ")[0]
        facts |= {"what": what, "measured": error.measured, "limit": error.limit}
    return facts


def _print(progress: Progress) -> None:
    _say({"kind": "progress", **msgspec.to_builtins(progress)})


def _say(value: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
