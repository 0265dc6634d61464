"""SIGKILL of an agent that looks after its server: once in every state that it can be in.

A case starts the agent on a copy of a home and kills it at one recorded call, while a client asks
its server all the time. Then the agent is started again and must come by itself, at its first
start, to where the scene ends: one server that gives that bundle's golden answers, and in the end
no process, socket or file too many. What the client is answered must be what the golden inputs give
in the version that the answer names.

| scene | how the agent gets there | ends with |
|---|---|---|
| start | nothing is ordered; its server is being started | the committed bundle |
| update | a fleet rolls a release out, over HTTP | the new bundle |
| file | `agent apply FILE` orders the running agent | the new bundle |
| rollback | `agent rollback` orders the running agent | the bundle before |

Calls are found again by their path and their number on it (`testing.kills.struck_at`), so files
with random names, and those that are written by the clock, are not among them; `_agent_faults` has
both. In `start` nothing is written: the
agent is killed when its server has just been spawned, and when it listens and serves nothing yet.
"""

import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec

from _agent_faults import AGENT, FILLER_BYTES, KILL, leftovers, uncommitted, unsound
from _agent_witness import Question, Witness, asked, question_of
from edgewright.chain.demo.places import DEVICE, Fleet, listens, running_fleet
from edgewright.chain.enrolment import enroll
from edgewright.chain.processes import free_port
from edgewright.device.agent import Home
from edgewright.device.agent.journal import lines_of, newest
from edgewright.device.agent.process import find_listener
from edgewright.keys import FileSigner
from edgewright.stores import read_log
from edgewright.testing.bundles import MODEL, build_tiny
from edgewright.testing.keys import MemorySigner
from edgewright.testing.kills import (
    Point,
    environment,
    places_in,
    recording_all,
    run,
    struck_at,
)
from edgewright.trust import Signer

SETTINGS = 'serve_http = "127.0.0.1:{port}"\npoll_s = 1.0\nprobation_s = 0.5\n'
Agent = subprocess.Popen[bytes]

PATIENCE_S = 240.0
LOOK_S = 0.05
SOCKETS = frozenset({"admin.sock", "serve.sock", "agent.sock"})
LEFT_OUT = SOCKETS | {"server.log", "outbox.log", "numbers.log"}
"""Written by the server, or as often as the clock has it."""
STARTING = ("spawned", "listening")


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """A home before, what its running agent is ordered, and the bundle that ends active; the slots
    that are kept then, and the `names` that may lie in the home.
    """

    name: str
    folder: Path
    port: int
    question: Question
    old: str
    new: str
    new_version: str
    kept: frozenset[str]
    names: frozenset[str]
    order: tuple[str, ...] = ()

    def home(self) -> Path:
        """A fresh copy of the home."""
        path = self.folder / "home"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(self.folder / "template", path, symlinks=True)
        return path


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A kill at one call of a scene."""

    scene: Scene
    point: Point

    @property
    def name(self) -> str:
        point = self.point
        return f"{self.scene.name}: {point.state} {point.call} #{point.number} {point.path[:40]}"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The state that a case left the journal in, and what was wrong then; how many requests got no
    answer from the first answer on, and how long the next agent took.
    """

    scene: str
    state: str
    wrong: tuple[str, ...]
    missed: int
    answered: int
    seconds: float


@contextlib.contextmanager
def scenes(folder: Path) -> Iterator[list[Scene]]:
    """All scenes; the fleet of one of them runs meanwhile."""
    alone = scenes_alone(folder)
    key, home = folder / "fleet.pem", folder / "fleet"
    signer, public = FileSigner.create(key), key.with_suffix(".pub")
    home.mkdir()
    with running_fleet(home, signer, public) as fleet:
        yield [*alone, _of_fleet(folder / "update", fleet)]


def list_cases(scene: Scene) -> list[Case]:
    """Every call of the scene on a lasting path of the home that changes it; of those that are
    alike in one state, the first.
    """
    if scene.name == "start":
        points = [Point(call=call, number=1, path="server", state="idle") for call in STARTING]
    else:
        home, trace = scene.home(), scene.folder / "trace"
        with _agent(home, under=recording_all(trace)) as agent:
            tracer = _tracer(agent)
            _until(lambda: asked(scene.port, MODEL, scene.question), agent, "serving")
            _order(scene, home)
            _until(lambda: not _unfinished(scene, home), agent, "the end of the scene")
            _let_go(tracer)
            agent.send_signal(signal.SIGTERM)
            agent.wait(PATIENCE_S)
        points = [p for p in places_in(trace, below=home) if p.path not in LEFT_OUT]
    return [Case(scene=scene, point=point) for point in points]


def one_per_state(cases: Sequence[Case]) -> list[Case]:
    """The case in the middle of each state of a scene; every moment of a start."""
    if cases[0].scene.name == "start":
        return list(cases)
    groups = (list(group) for _, group in itertools.groupby(cases, lambda c: c.point.state))
    return [group[len(group) // 2] for group in groups]


def check_case(case: Case) -> Finding:
    """Kill, look, start again, look, stop, look."""
    scene = case.scene
    home = scene.home()
    with Witness(scene.port, MODEL, scene.question) as witness:
        wrong = _killed(case, home)
        wrong += [f"after the kill: {w}" for w in unsound(home, frozenset({scene.old, scene.new}))]
        state = newest(lines_of(read_log(Home(home).journal_path)))[MODEL].state
        start_s = time.monotonic()
        with _agent(home) as agent:
            wrong += _not_settled(scene, home, agent, witness)
            seconds = time.monotonic() - start_s
            witness.close()
            wrong += witness.wrong
            agent.send_signal(signal.SIGTERM)
            if (code := agent.wait(PATIENCE_S)) != 0:
                wrong.append(f"the agent ended with {code}")
    wrong += [f"in the end: {what}" for what in _left(scene, home)]
    return Finding(
        scene=scene.name,
        wrong=tuple(f"{case.name}: {what}" for what in wrong),
        state=str(state),
        missed=witness.missed,
        answered=sum(witness.answered.values()),
        seconds=round(seconds, 2),
    )


def _killed(case: Case, home: Path) -> list[str]:
    """Run the scene until the kill; what is wrong about how it ended."""
    scene, point = case.scene, case.point
    under = [] if scene.name == "start" else struck_at(home / point.path, point, KILL)
    with _agent(home, under=under) as agent:
        tracer = _tracer(agent) if under else 0
        try:
            if scene.name == "start":
                is_there = _is_spawned if point.call == "spawned" else _is_listening
                _until(lambda: is_there(home), agent, f"a server {point.call}")
                agent.kill()
            elif scene.order:
                with contextlib.suppress(_MissedError):
                    _until(lambda: asked(scene.port, MODEL, scene.question), agent, "serving")
                    _order(scene, home)
            code = agent.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            return ["it was never killed"]
        finally:
            _let_go(tracer)
    return [] if code == -signal.SIGKILL else [f"it was not killed but ended with {code}"]


def _not_settled(scene: Scene, home: Path, agent: Agent, witness: Witness) -> list[str]:
    """What is wrong once the next agent had its time. An order that was lost with the agent before
    a word of it was written is given again.
    """

    def found() -> list[str]:
        wrong = _unfinished(scene, home)
        if witness.last != scene.new_version:
            wrong.append(f"answers come from version {witness.last or 'none'}")
        if len(commands := _processes(home)) != 2:
            wrong.append(f"expected an agent and a server, there are {commands}")
        return wrong

    is_lost = not uncommitted(home, scene.old) and scene.order
    try:
        if is_lost:
            control = Home(home).control_socket
            _until(lambda: find_listener(control) is not None, agent, "taking orders")
            _order(scene, home)
        _until(lambda: not found(), agent, "settled")
    except _MissedError as error:
        return [str(error), *found()]
    return []


def _unfinished(scene: Scene, home: Path) -> list[str]:
    """What is missing to the end of a scene, or too much, while its agent and server run."""
    rest = leftovers(home, scene.kept, also=scene.names | SOCKETS)
    return [*uncommitted(home, scene.new), *(f"left on disk: {name}" for name in rest)]


def _left(scene: Scene, home: Path) -> list[str]:
    """What is left when the last agent has ended; its processes are ended then."""
    deadline_s = time.monotonic() + 10
    while (found := _processes(home)) and time.monotonic() < deadline_s:
        time.sleep(LOOK_S)
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    wrong = [f"a process is left: {command}" for command in found.values()]
    wrong += [f"left on disk: {n}" for n in leftovers(home, scene.kept, also=scene.names)]
    return wrong + (["its port is taken"] if listens(scene.port) else [])


def _processes(home: Path) -> dict[int, str]:
    """The command lines that name the home, without those of strace."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if str(home) in command and (folder / "comm").read_text().strip() != "strace":
                found[int(folder.name)] = command.strip()
    return found


def _is_spawned(home: Path) -> bool:
    """Whether there is a server's process that does not listen yet."""
    has_one = any(" serve " in command for command in _processes(home).values())
    return has_one and find_listener(Home(home).admin_socket) is None


def _is_listening(home: Path) -> bool:
    return find_listener(Home(home).admin_socket) is not None


@contextlib.contextmanager
def _agent(home: Path, *, under: Sequence[str] = ()) -> Iterator[Agent]:
    """An agent that runs on a home; ended with the block, its server not."""
    command = [*under, *AGENT, "run", "--home", str(home)]
    with (home.parent / "agent.log").open("ab") as log:
        agent = subprocess.Popen(command, stdout=log, stderr=log, env=environment())
    try:
        yield agent
    finally:
        agent.kill()
        agent.wait()


def _tracer(agent: Agent) -> int:
    """Who traces the agent, as soon as somebody does."""
    status = Path(f"/proc/{agent.pid}/status")
    deadline_s = time.monotonic() + 10
    while time.monotonic() < deadline_s:
        if found := re.search(r"TracerPid:\s+([1-9]\d*)", status.read_text()):
            return int(found[1])
        time.sleep(0.001)
    raise RuntimeError("the harness itself does not work: strace does not trace")


def _let_go(tracer: int) -> None:
    """Have strace end; a server that it still traces goes on."""
    if tracer:
        with contextlib.suppress(ProcessLookupError):
            os.kill(tracer, signal.SIGTERM)


class _MissedError(Exception):
    """Something did not happen in time."""


def _until(look: Callable[[], object], agent: Agent, what: str) -> None:
    """Wait until it is so.

    Raises:
        _MissedError: the agent ended instead, or it took too long.
    """
    deadline_s = time.monotonic() + PATIENCE_S
    while not look():
        if agent.poll() is not None:
            raise _MissedError(f"the agent ended with {agent.returncode}, not {what}")
        if time.monotonic() > deadline_s:
            raise _MissedError(f"not {what} within {PATIENCE_S:g} s")
        time.sleep(LOOK_S)


def _order(scene: Scene, home: Path) -> None:
    if scene.order:
        run([*AGENT, *scene.order, "--home", str(home)])


def scenes_alone(folder: Path) -> list[Scene]:
    """The scenes of a device without a fleet."""
    folder.mkdir()
    signer, key = MemorySigner.from_seed(1), folder / "keeper.pub"
    key.write_text(signer.public.public_hex)
    home, port = folder / "alone", free_port()
    ids, files = _bundles(folder, signer)
    _must([*AGENT, "enroll", "--key", str(key), "--device", "d1", "--home", str(home)])
    for file in files[:3]:
        _must([*AGENT, "apply", str(file), "--home", str(home)])
    (home / "agent.toml").write_text(SETTINGS.format(port=port))
    ends: dict[str, tuple[str, tuple[str, ...], set[str]]] = {
        "start": ("3", (), {ids["1"], ids["2"], ids["3"]}),
        "file": ("4", ("apply", str(files[3])), {ids["1"], ids["3"], ids["4"]}),
        "rollback": ("2", ("rollback",), {ids["1"], ids["2"]}),
    }
    for name in ends:
        shutil.copytree(home, folder / name / "template", symlinks=True)
    return [
        Scene(
            name=name,
            folder=folder / name,
            port=port,
            question=question_of(files),
            old=ids["3"],
            new=ids[version],
            new_version=version,
            kept=frozenset(kept),
            names=_names(home),
            order=order,
        )
        for name, (version, order, kept) in ends.items()
    ]


def _of_fleet(folder: Path, fleet: Fleet) -> Scene:
    """A device on which three releases were committed; the fourth is rolled out."""
    home, port = folder / "home", free_port()
    home.mkdir(parents=True)
    (home / "agent.toml").write_text(SETTINGS.format(port=port))
    enroll(fleet.devices_url, token=fleet.token(), home=home, device=DEVICE, labels={})
    ids, files = _bundles(folder, fleet.keeper)
    with _agent(home) as agent:
        for version, file in zip("123", files[:3], strict=True):
            fleet.roll_out(fleet.publish(file))
            _until(partial(_is_committed, home, ids[version]), agent, "committed")
        agent.send_signal(signal.SIGTERM)
        agent.wait(PATIENCE_S)
    home.rename(folder / "template")
    fleet.roll_out(fleet.publish(files[3]))
    return Scene(
        name="update",
        folder=folder,
        port=port,
        question=question_of(files),
        old=ids["3"],
        new=ids["4"],
        new_version="4",
        kept=frozenset({ids["1"], ids["3"], ids["4"]}),
        names=_names(folder / "template"),
    )


def _is_committed(home: Path, bundle_id: str) -> bool:
    progress = newest(lines_of(read_log(Home(home).journal_path))).get(MODEL)
    return progress is not None and (progress.good, progress.state) == (bundle_id, "idle")


def _bundles(folder: Path, signer: Signer) -> tuple[dict[str, str], list[Path]]:
    """Four versions of a model: their ids, their files."""
    files = [folder / f"{version}.ewb" for version in "1234"]
    ids = {
        file.stem: build_tiny(file, version=file.stem, signer=signer, filler_bytes=FILLER_BYTES)
        for file in files
    }
    return ids, files


def _names(home: Path) -> frozenset[str]:
    """What lies in a home, and what an agent with a server adds for good."""
    return frozenset({path.name for path in home.iterdir()} | {"server.log"})


def _must(command: Sequence[str]) -> None:
    ending = run(command)
    if ending.code:
        raise RuntimeError(f"the harness itself does not work: {ending.stderr}")
