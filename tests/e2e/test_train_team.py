"""Two processes under torchrun learn what one learns, and Ray does the same job."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgewright.chain.training import trainer_for
from edgewright.errors import InputError, UnavailableError
from edgewright.workbench.data import DatasetStore, SourceMapping, read_npz, split_by_subject
from edgewright.workbench.recipes.har import HarRecipe
from edgewright.workbench.train import RunRecord, TrainOptions
from edgewright.workbench.train.job import Job, Means

TOLERANCE = 1e-5
"""Relative. Gradients are summed in another order, no more."""

STILL = {"rotation_deg": 0.0, "scaling": 0.0, "jitter": 0.0}
RECIPE = {"architecture": "tcn-vae", "latent": 64, "augment": STILL, "vae": {"dropout": 0.0}}
OPTIONS = TrainOptions(
    epochs=2, batch_size=16, lr=3e-4, threads=1, device="cpu", mixup=0.0, label_smoothing=0.1
)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    folder = tmp_path_factory.mktemp("team")
    rng = np.random.default_rng(5)
    label = np.repeat(np.arange(8) % 2, 400)
    samples = rng.normal(0, 0.3, (3200, 3))
    samples[:, 0] += np.sin(2 * np.pi * (1 + 2 * label) * np.arange(3200) / 50)
    archive = folder / "people.npz"
    np.savez(
        archive,
        X=samples.astype(np.float32),
        label=label,
        subject=np.repeat(np.arange(8) // 2 + 1, 400),
        recording=np.repeat(np.arange(8), 400),
        channels=np.array(["acc_x", "acc_y", "acc_z"]),
        units=np.array(["g"] * 3),
        fs=50.0,
    )
    dataset = read_npz(archive, SourceMapping())
    recipe = HarRecipe().with_options(RECIPE, source="test")
    return Job(
        recipe="har",
        recipe_options=msgspec.to_builtins(recipe.options),
        folder=str(folder),
        store=str(folder / "datasets"),
        dataset=DatasetStore(folder / "datasets").add(dataset),
        split=split_by_subject(dataset, test=("4",), val=("3",)),
        options=OPTIONS,
        out_dir=str(folder / "run"),
    )


def done(job: Job, name: str, means: Means) -> RunRecord:
    own = msgspec.structs.replace(job, out_dir=f"{job.folder}/{name}")
    return trainer_for(means)(own, lambda _: None)


@pytest.fixture(scope="module")
def alone(job: Job) -> RunRecord:
    return done(job, "alone", Means())


def assert_alike(one: RunRecord, two: RunRecord) -> None:
    for a, b in zip(one.epochs, two.epochs, strict=True):
        assert b.train_loss == pytest.approx(a.train_loss, rel=TOLERANCE)
        assert b.val_loss == pytest.approx(a.val_loss, rel=TOLERANCE)
    assert two.val.headline["accuracy"] == one.val.headline["accuracy"]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_two_processes_have_the_loss_of_one(job: Job, alone: RunRecord) -> None:
    assert_alike(alone, done(job, "two", Means(processes=2)))


@pytest.mark.long
@pytest.mark.timeout(600)
def test_an_error_of_a_process_comes_back_as_our_own(job: Job) -> None:
    odd = msgspec.structs.replace(job, options=msgspec.structs.replace(job.options, batch_size=15))
    with pytest.raises(InputError, match="a batch of 15 rows cannot be dealt out to 2"):
        done(odd, "odd", Means(processes=2))


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.timeout(900)
def test_ray_does_the_same_job(
    job: Job, alone: RunRecord, tmp_path: Path, ray_environment: dict[str, str]
) -> None:
    pytest.importorskip("ray", reason="ray is not among the extras of CI")
    own = msgspec.structs.replace(job, out_dir=f"{job.folder}/ray")
    path = tmp_path / "job.json"
    path.write_bytes(msgspec.json.encode(own))
    child = subprocess.run(
        [sys.executable, __file__, str(path)],
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
        env=ray_environment,
    )
    assert child.returncode == 0, child.stderr[-2000:]
    found = msgspec.json.decode(child.stdout.splitlines()[-1], type=list[float])
    assert found == pytest.approx([e.train_loss for e in alone.epochs], rel=TOLERANCE)


def test_an_engine_that_is_not_installed_is_named() -> None:
    try:
        import ray  # noqa: F401
    except ModuleNotFoundError:
        with pytest.raises(UnavailableError, match=r"pip install 'edgewright\[ray\]'"):
            trainer_for(Means(engine="ray"))
    else:
        assert callable(trainer_for(Means(engine="ray", processes=2)))


def test_an_engine_that_nobody_knows_is_refused() -> None:
    with pytest.raises(InputError, match="choose torchrun or ray"):
        trainer_for(Means(engine="horovod"))


if __name__ == "__main__":
    from edgewright.workbench.train.job import read_job

    record = trainer_for(Means(engine="ray", processes=2))(
        read_job(Path(sys.argv[1])), lambda _: None
    )
    print(json.dumps([epoch.train_loss for epoch in record.epochs]))
