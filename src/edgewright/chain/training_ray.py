"""The same job on Ray Train's workers (extra `ray`): Ray starts them and sets up their process
group.
"""

from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.train.torch

from edgewright.chain.ray_node import interruptible, ray_running
from edgewright.chain.training import open_mirror
from edgewright.errors import EdgewrightError, ResourceError
from edgewright.workbench.train import Progress, RunRecord, load_record
from edgewright.workbench.train.job import Job, Trainer, do_job, encode_job, read_job
from edgewright.workbench.train.progress import OnProgress

_JOB_FILE = "job.json"


def ray_trainer(processes: int, *, cluster: str = "") -> Trainer:
    """Do a job in so many Ray workers, of a cluster or of this machine."""

    def trainer(job: Job, tell: OnProgress) -> RunRecord:
        folder = Path(job.out_dir)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _JOB_FILE).write_bytes(encode_job(job))
        with ray_running(processes + 1, cluster=cluster):
            _train(job, folder, processes)
        record = load_record(folder)
        for epoch in record.epochs:
            tell(_finished(epoch.epoch, record))
        return record

    return trainer


def _train(job: Job, folder: Path, processes: int) -> None:
    trainer = ray.train.torch.TorchTrainer(
        _work,
        train_loop_config={"job": str(folder / _JOB_FILE)},
        scaling_config=ray.train.ScalingConfig(
            num_workers=processes, use_gpu=job.options.device == "cuda"
        ),
        run_config=ray.train.RunConfig(storage_path=str(folder.resolve() / "ray")),
    )
    with interruptible():
        try:
            trainer.fit()
        except ray.train.TrainingFailedError as error:
            for failure in getattr(error, "worker_failures", {}).values():
                if isinstance(failure, EdgewrightError):
                    raise failure from error
            raise ResourceError(f"a Ray worker failed: {error}", hint="--resume goes on") from error


def _work(config: dict[str, Any]) -> None:
    job = read_job(Path(config["job"]))
    do_job(job, lambda _: None, mirror=open_mirror(job.mirror))


def _finished(epoch: int, record: RunRecord) -> Progress:
    """Ray's workers report at the end; the curve is in the record."""
    done = record.epochs[epoch - 1]
    return Progress(
        epoch=epoch,
        epochs=record.options.epochs,
        step=epoch,
        steps=record.options.epochs,
        loss=done.train_loss,
        lr=done.lr,
        rows_per_s=0.0,
        memory_mb=0,
        eta_s=0.0,
        epoch_done=done,
    )
