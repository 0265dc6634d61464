"""The demo from beginning to end. Read `run_demo` for the order of things."""

import contextlib
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from edgewright._fs import make_dirs, remove_tree, write_atomic
from edgewright.bundle import Bundle, open_bundle
from edgewright.bundle.golden import decode_golden
from edgewright.chain.bundles import signing_key
from edgewright.chain.demo.outcome import Act, Claim, Figure, Outcome, held
from edgewright.chain.demo.places import (
    UPDATE_TIMEOUT_S,
    Device,
    Fleet,
    running_device,
    running_fleet,
)
from edgewright.chain.demo.report import write_page
from edgewright.chain.demo.sabotage import damage, rebuild, scramble
from edgewright.chain.demo.traffic import Traffic, Witness
from edgewright.chain.new_project import InitOrder, init_project
from edgewright.chain.processes import Child
from edgewright.chain.project import RunOrder, RunSummary, run_project
from edgewright.chain.validation import ValidationOrder, run_validation
from edgewright.clock import Clock, SystemClock, iso
from edgewright.errors import InputError, TrustError
from edgewright.measure import describe_machine
from edgewright.validate import Report, ScenarioName
from edgewright.workbench.pipeline.budgets import keep_budgets
from edgewright.workbench.pipeline.stage import StageEvent, Watcher

MARK = ".edgewright-demo"
PROJECT = "har"
EPOCHS = 6
SCENARIOS: tuple[tuple[ScenarioName, float | None], ...] = (
    ("single-stream", None),
    ("server", 250.0),
)
VALIDATE_S = 4.0
MAX_DROP = 2.0


class DemoOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Where the demo happens, and how long it trains."""

    folder: Path
    epochs: int = EPOCHS


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What the second half plays with."""

    bundle: Bundle
    fleet: Fleet
    device: Device
    child: Child


@dataclass
class Notebook:
    """What is written down on the way."""

    clock: Clock
    watch: Watcher
    acts: list[Act] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)

    @contextlib.contextmanager
    def act(self, name: str) -> Iterator[None]:
        """A part of the demo, timed."""
        self.watch(StageEvent(stage=name, state="running"))
        begun_s = self.clock.monotonic_s()
        yield
        seconds = self.clock.monotonic_s() - begun_s
        self.acts.append(Act(name=name, seconds=round(seconds, 2)))
        self.watch(StageEvent(stage=name, state="done", seconds=seconds))

    def seconds_of(self, name: str) -> float:
        """How long a part took."""
        return next(act.seconds for act in self.acts if act.name == name)


def run_demo(order: DemoOrder, *, watch: Watcher, clock: Clock | None = None) -> Outcome:
    """Walk the whole chain in a folder; on Ctrl-C nothing of it stays.

    Raises:
        InputError: the folder holds something that is not an earlier demo.
        EdgewrightError: a part could not be walked at all.
    """
    clock = clock or SystemClock()
    notebook = Notebook(clock=clock, watch=watch)
    begun_s = clock.monotonic_s()
    with _stage_of(order.folder):
        summary = _make(order, notebook)
        bundle = open_bundle(Path(summary.bundle))
        key = order.folder / PROJECT / "keys" / "release"
        with contextlib.ExitStack() as stack:
            fleet = stack.enter_context(
                running_fleet(
                    order.folder / "fleet",
                    signing_key(key.with_suffix(".pem")),
                    key.with_suffix(".pub"),
                )
            )
            with notebook.act("deploy"):
                device, child = stack.enter_context(running_device(order.folder / "device", fleet))
                scene = Scene(bundle=bundle, fleet=fleet, device=device, child=child)
                _deploy(scene)
            _claim_deployed(scene, notebook)
            with notebook.act("validate"):
                reports = _validate(bundle, device, order.folder)
            _claim_validated(reports, notebook)
            with notebook.act("bad releases"):
                _tempt(scene, key.with_suffix(".pem"), notebook)
        return _outcome(order, notebook, clock.monotonic_s() - begun_s)


@contextlib.contextmanager
def _stage_of(folder: Path) -> Iterator[None]:
    """The demo's folder: an earlier demo's is replaced, anybody else's refused, Ctrl-C clears
    it.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise InputError(
            f"{folder} holds something that no demo made", hint="choose another folder with --out"
        )
    remove_tree(folder)
    make_dirs(folder)
    write_atomic(folder / MARK, b"Made by `edgewright demo`, which replaces this folder.\n")
    try:
        yield
    except KeyboardInterrupt:
        remove_tree(folder)
        raise


def _make(order: DemoOrder, notebook: Notebook) -> RunSummary:
    """Recordings to a signed bundle."""
    project = order.folder / PROJECT
    init_project(InitOrder(folder=project, recipe="har", epochs=order.epochs))
    summary = run_project(
        RunOrder(
            folder=project,
            overrides=(f"optimize.max_drop={MAX_DROP}",),
            command="edgewright demo",
        ),
        watch=notebook.watch,
        clock=notebook.clock,
    )
    for stage in summary.stages:
        notebook.acts.append(Act(name=stage.stage, seconds=stage.seconds))
    facts = {stage.stage: stage.facts for stage in summary.stages}
    data, train, best = facts["data"], facts["train"], facts["optimize"]
    notebook.figures += [
        Figure(
            name="data",
            value=f"{data['recordings']} recordings of {data['people']} people; {data['split']}",
        ),
        Figure(
            name="accuracy on people never trained on",
            value=f"{train['test_accuracy']:.3f} (macro-F1 {train['test_macro_f1']:.3f}, "
            f"{train['test_windows']} windows)",
        ),
        Figure(name="variant", value=str(best["verdict"])),
        Figure(name="bundle", value=f"{facts['package']['size_bytes']} bytes, signed (Ed25519)"),
    ]
    ratio, drop, bound = (
        float(best.get(name, default))
        for name, default in (
            ("latency_ratio", 1.0),
            ("metric_drop", 0.0),
            ("metric_drop_upper", 0.0),
        )
    )
    notebook.claims.append(
        Claim(
            claim="the chosen variant is not slower than fp32 and keeps the accuracy budget",
            measured=f"p50 {ratio:.2f} times that of fp32; accuracy falls by {drop:.2f} points, "
            f"95 % bound {bound:.2f}, allowed {MAX_DROP:g}",
            held=held(ratio <= 1.0 and bound <= MAX_DROP),
        )
    )
    parity = facts["verify"]
    notebook.claims.append(
        Claim(
            claim="every engine file answers like the run it came from",
            measured=", ".join(f"{name}: {said}" for name, said in sorted(parity.items())),
            held=held(all(str(said).startswith("parity holds") for said in parity.values())),
        )
    )
    return summary


def _deploy(scene: Scene) -> None:
    """Publish, order, and wait until the device holds the bundle for good."""
    rollout = scene.fleet.roll_out(scene.fleet.publish(scene.bundle.path))
    name, version = scene.bundle.manifest.name, scene.bundle.manifest.version
    scene.child.wait_for(
        lambda: scene.fleet.is_over(rollout) and scene.device.committed(name) == (version, "idle"),
        timeout_s=UPDATE_TIMEOUT_S,
        what=f"running {name} {version}",
    )


def _claim_deployed(scene: Scene, notebook: Notebook) -> None:
    steps = [step.state for step in scene.device.status().history]
    notebook.claims.append(
        Claim(
            claim="the agent fetched, verified, probed and activated the bundle over HTTP",
            measured=" > ".join(dict.fromkeys(steps)),
            held=held({"verify", "probe", "activate", "commit"} <= set(steps)),
        )
    )


def _validate(bundle: Bundle, device: Device, folder: Path) -> list[Report]:
    """The served model against the contract's budgets, with its answers checked under load."""
    golden = folder / "golden.npz"
    write_atomic(golden, bundle.read(bundle.blob("golden")))
    budgets = bundle.manifest.contract.budgets
    return [
        run_validation(
            ValidationOrder(
                target=f"http://{device.address}",
                model=bundle.manifest.name,
                scenario=scenario,
                rate_rps=rate,
                p95_ms=budgets.latency_p95_ms,
                memory_mb=budgets.memory_mb,
                seconds=VALIDATE_S,
                golden=golden,
            )
        )
        for scenario, rate in SCENARIOS
    ]


def _claim_validated(reports: list[Report], notebook: Notebook) -> None:
    for report in reports:
        outcome = report.verdict.outcome
        sentences = [gate.sentence() for gate in report.verdict.gates]
        if outcome == "INVALID":
            sentences = [*report.verdict.reasons, *sentences]
        words = {"VALID-PASS": held(True), "VALID-FAIL": held(False)}
        notebook.claims.append(
            Claim(
                claim=f"the served model keeps its budgets ({report.scenario})",
                measured=f"{outcome}: {'; '.join(sentences)}",
                held=words.get(outcome, "unsound"),
            )
        )


def _tempt(scene: Scene, key: Path, notebook: Notebook) -> None:
    """Two bad releases under traffic; both must be refused and no client may notice."""
    bundle, fleet = scene.bundle, scene.fleet
    folder = make_dirs(fleet.home.parent / "bad-releases")
    good, signer = bundle.read(bundle.blob("model")), signing_key(key)
    damaged, wrong = folder / "damaged.ewb", folder / "wrong.ewb"
    rebuild(bundle, damaged, version="1.0.1", signer=signer, model=good)
    rebuild(bundle, wrong, version="1.0.2", signer=signer, model=scramble(good))
    golden = decode_golden(bundle.read(bundle.blob("golden")))
    questions = golden.inputs["x"], golden.outputs["label"]
    with Traffic(scene.device.address, bundle.manifest.name, questions) as traffic:
        notebook.claims.append(_refused_by_registry(damaged, fleet))
        notebook.claims.append(_refused_without_keepers(wrong, scene))
        release = fleet.publish(damaged)
        damage(_stored_file(fleet, damaged))
        what = "a release that was damaged behind the fleet's back"
        notebook.claims.append(_refused_by_device(what, release, scene))
        release = fleet.publish(wrong)
        what = "a release that is signed and whole but answers wrongly"
        notebook.claims.append(_refused_by_device(what, release, scene))
    notebook.claims.append(_unnoticed(traffic.witness(), bundle.manifest.version))


def _refused_by_registry(path: Path, fleet: Fleet) -> Claim:
    copy = path.with_name("flipped.ewb")
    shutil.copyfile(path, copy)
    place = damage(copy)
    try:
        fleet.publish(copy)
    except TrustError as error:
        return Claim(
            claim=f"the fleet refuses a bundle with one flipped bit (byte {place})",
            measured=error.message,
            held="yes",
        )
    return Claim(claim="the fleet refuses a flipped bit", measured="it was published", held="no")


def _refused_without_keepers(path: Path, scene: Scene) -> Claim:
    """Whoever takes the whole fleet over can order, and not release: the device asks both."""
    fleet, device, bundle = scene.fleet, scene.device, open_bundle(path)
    model, before = bundle.manifest.name, device.committed(bundle.manifest.name)[0]
    release = fleet.smuggle(path)
    rollouts = [fleet.force(release)]

    def is_told() -> bool:
        """The fleet itself ends such a rollout when it looks: then the intruder orders again."""
        if device.last_word(model, bundle.manifest.version):
            return True
        if fleet.is_over(rollouts[-1]):
            rollouts.append(fleet.force(release))
        return False

    scene.child.wait_for(is_told, timeout_s=UPDATE_TIMEOUT_S, what=f"done with {release}")
    said, after = device.last_word(model, bundle.manifest.version), device.committed(model)[0]
    if not fleet.is_over(rollouts[-1]):
        fleet.abort(rollouts[-1])
    return Claim(
        claim="the device refuses what the fleet orders and no keeper released",
        measured=f"{said}; runs {after}",
        held=held(after == before and "the image repository" in said),
    )


def _refused_by_device(what: str, release: str, scene: Scene) -> Claim:
    device = scene.device
    model, version = release.split("@")
    before = device.committed(model)[0]
    rollout = scene.fleet.roll_out(release)
    scene.child.wait_for(
        lambda: scene.fleet.is_over(rollout) and device.refusal_of(model, version),
        timeout_s=UPDATE_TIMEOUT_S,
        what=f"done with {release}",
    )
    after = device.committed(model)[0]
    return Claim(
        claim=f"the device refuses {what} and keeps {before}",
        measured=f"{device.refusal_of(model, version)}; runs {after}",
        held=held(after == before),
    )


def _stored_file(fleet: Fleet, bundle: Path) -> Path:
    """Where the fleet keeps a release's file."""
    content = bundle.read_bytes()
    (found,) = (
        path
        for path in (fleet.home / "releases").rglob("*")
        if path.is_file() and path.read_bytes() == content
    )
    return found


def _unnoticed(witness: Witness, version: str) -> Claim:
    is_clean = (
        witness.asked == witness.answered > 0
        and set(witness.versions) == {version}
        and witness.wrong_labels == 0
    )
    failures = ", ".join(f"{n} x {kind}" for kind, n in witness.failures.items()) or "none"
    return Claim(
        claim="no client noticed: the old model answered every request, and rightly",
        measured=f"{witness.answered} of {witness.asked} answered by version "
        f"{', '.join(witness.versions)}; failures: {failures}; "
        f"wrong labels: {witness.wrong_labels}",
        held=held(is_clean),
    )


def _outcome(order: DemoOrder, notebook: Notebook, seconds: float) -> Outcome:
    machine = describe_machine()
    budgets = keep_budgets(
        order.folder / PROJECT / "reports",
        {
            "deploy": notebook.seconds_of("deploy"),
            "validate": notebook.seconds_of("validate"),
        },
    )
    page = order.folder / "demo.html"
    outcome = Outcome(
        machine=f"{machine.cpu}, {machine.cores} cores, Python {platform.python_version()}",
        when=iso(notebook.clock.wall_s()),
        seconds=round(seconds, 1),
        acts=tuple(notebook.acts),
        figures=tuple(notebook.figures),
        claims=tuple(notebook.claims),
        budgets=budgets,
        folder=str(order.folder),
        page=str(page),
    )
    write_page(outcome, page)
    return outcome
