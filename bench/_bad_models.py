"""Bad models on a device that serves: the old one must go on, and no client may notice.

One agent with a server, one client that asks all the time, one bad bundle after the other. The
engine of `bench/planted` behaves in the probe and shows its fault in the candidate's process.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgewright.bundle import Draft, build_bundle
from edgewright.bundle.golden import Golden, encode_golden
from edgewright.chain.processes import free_port
from edgewright.contract import Contract, Tensor
from edgewright.errors import TransportError
from edgewright.testing.keys import MemorySigner
from edgewright.transports.http1 import Client

PLANTED = Path(__file__).resolve().parent / "planted"
AGENT = (sys.executable, "-m", "edgewright", "agent")
SIGNER = MemorySigner.from_seed(1)
RUN_MS = 2.0
WEIGHT = [[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]]
QUESTION = [[1.0, 2.0, 3.0]]
MODEL = "planted"
LATE = -1
"""`after` of a fault that shows when the candidate leads already, near the end of its probation."""
LATE_SHARE = 0.75

KINDS: dict[str, dict[str, Any]] = {
    "corrupt": {},
    "wrong_output": {"weight": [[9.0, 9.0, 9.0], [9.0, 9.0, 9.0]]},
    "absent_runtime": {"format": "nowhere"},
    "slow": {"fault": "slow"},
    "leaking": {"fault": "leak", "after": 150},
    "segfaulting": {"fault": "segfault", "after": 150},
    "ending": {"fault": "exit", "after": 150},
    "hanging": {"fault": "hang", "after": 150},
    "nan_after_100": {"fault": "nan", "after": 100},
    "nan_late": {"fault": "nan", "after": LATE},
    "segfaulting_late": {"fault": "segfault", "after": LATE},
    "hanging_late": {"fault": "hang", "after": LATE},
}


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one bad model."""

    kind: str
    code: int
    reason: str
    active: str
    seconds: float


class Witness:
    """Asks at a rate, open loop, and counts every answer."""

    def __init__(self, url: str, rate: float) -> None:
        self.url, self.rate = url, rate
        self.asked = 0
        self.outcomes = Counter[str]()
        self.versions = Counter[str]()
        self.latencies_ms: list[float] = []
        x = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": QUESTION[0]}
        self._body = json.dumps({"inputs": [x]}).encode()
        self._right = (np.array(QUESTION) @ np.array(WEIGHT).T).ravel()

    async def run(self, stop: asyncio.Event) -> None:
        waiting: set[asyncio.Task[None]] = set()
        async with Client(self.url, timeout_s=30.0) as client:
            start_s = time.perf_counter()
            while not stop.is_set():
                due_s = start_s + self.asked / self.rate
                await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
                self.asked += 1
                task = asyncio.create_task(self._ask(client))
                waiting.add(task)
                task.add_done_callback(waiting.discard)
            if waiting:
                await asyncio.wait(waiting)

    async def _ask(self, client: Client) -> None:
        start_s = time.perf_counter()
        try:
            answer = await client.request("POST", f"/v2/models/{MODEL}/infer", body=self._body)
        except TransportError as error:
            self.outcomes[f"no answer: {error}"] += 1
            return
        self.latencies_ms.append(1e3 * (time.perf_counter() - start_s))
        if answer.status != 200:
            self.outcomes[f"status {answer.status}: {answer.body[:80].decode()}"] += 1
            return
        document = json.loads(answer.body)
        self.versions[document["model_version"]] += 1
        is_right = np.allclose(document["outputs"][0]["data"], self._right, atol=1e-4)
        self.outcomes["right" if is_right else "wrong"] += 1

    @property
    def failed(self) -> int:
        return self.asked - self.outcomes["right"]


class Rig:
    """A device in a folder, its agent running, version 1 served."""

    def __init__(self, folder: Path, *, probation_s: float, rate: float) -> None:
        self.folder, self.home = folder, folder / "home"
        self._late = int(LATE_SHARE * rate * probation_s)
        self._env = {**os.environ, "PYTHONPATH": str(PLANTED)}
        key = folder / "key.pub"
        key.write_text(SIGNER.public.public_hex)
        self._run("enroll", "--key", str(key), "--device", "d1")
        settings = f'serve_http = "127.0.0.1:{free_port()}"\nprobation_s = {probation_s}\n'
        (self.home / "agent.toml").write_text(settings)
        self._run("apply", str(self.bundle("1")))

    def bundle(self, version: str, *, name: str = MODEL, **facts: Any) -> Path:
        """A bundle of the planted engine."""
        path = self.folder / f"{name}-{version}.ewb"
        kind = facts.pop("format", "planted")
        model = {"weight": WEIGHT, "ms": RUN_MS, "fault": "", "after": 0} | facts
        if model["after"] == LATE:
            model["after"] = self._late
        contract = Contract(
            inputs=(Tensor(name="x", dtype="float32", shape=("batch", 3), low=-10, high=10),),
            outputs=(Tensor(name="y", dtype="float32", shape=("batch", 2)),),
        )
        rows = np.array([QUESTION[0], [0.0, 1.0, 0.0]], np.float32)
        golden = Golden(inputs={"x": rows}, outputs={"y": rows @ np.array(WEIGHT, np.float32).T})
        draft = Draft(name=name, version=version, format=kind, precision="fp32", contract=contract)
        blobs = [
            ("model", "model.json", json.dumps(model).encode()),
            ("golden", "golden.npz", encode_golden(golden)),
        ]
        build_bundle(path, draft, blobs, signers=[SIGNER])
        return path

    @contextlib.contextmanager
    def running(self) -> Any:
        """The agent as a process; its server's address."""
        with (self.folder / "agent.log").open("ab") as log:
            agent = subprocess.Popen(
                [*AGENT, "run", "--home", str(self.home)], stdout=log, stderr=log, env=self._env
            )
        try:
            yield self._address(agent)
        finally:
            agent.send_signal(signal.SIGTERM)
            agent.wait(30)

    async def tempt(self, kind: str, *, name: str = MODEL) -> Verdict:
        """Apply a bad bundle by the running agent, and see what is active then."""
        path = self.bundle(kind, name=name, **KINDS[kind])
        if kind == "corrupt":
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.write_bytes(content)
        start_s = time.perf_counter()
        code, said = await self._asked("apply", str(path))
        seconds = round(time.perf_counter() - start_s, 2)
        _, status = await self._asked("status", "--json")
        models = {model["model"]: model["version"] for model in json.loads(status)["models"]}
        active = models.get(name, "")
        return Verdict(kind=kind, code=code, reason=said.strip(), active=active, seconds=seconds)

    async def _asked(self, *words: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *AGENT,
            *words,
            "--home",
            str(self.home),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._env,
        )
        out, err = await process.communicate()
        return process.returncode or 0, (out if process.returncode == 0 else err).decode()

    def _run(self, *words: str) -> None:
        command = [*AGENT, *words, "--home", str(self.home)]
        done = subprocess.run(command, capture_output=True, check=False, env=self._env)
        if done.returncode:
            raise RuntimeError(f"the harness itself does not work: {done.stderr.decode()}")

    def _address(self, agent: "subprocess.Popen[bytes]") -> str:
        for _ in range(600):
            log = self.home / "server.log"
            found = re.findall(r"http://[0-9.:]+", log.read_text()) if log.exists() else []
            if found:
                return str(found[-1])
            if agent.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError((self.folder / "agent.log").read_text()[-2000:])


async def run_all(
    rig: Rig, kinds: Sequence[str], *, rate: float, name: str = MODEL
) -> AsyncIterator[tuple[Verdict, Witness]]:
    """One bad model after the other, each with a client of its own that asks meanwhile; under
    another `name` they are bad neighbours of the model that is asked.
    """
    with rig.running() as url:
        await _served(url)
        for kind in kinds:
            stop, witness = asyncio.Event(), Witness(url, rate)
            asking = asyncio.create_task(witness.run(stop))
            await asyncio.sleep(1.0)
            verdict = await rig.tempt(kind, name=name)
            await asyncio.sleep(1.0)
            stop.set()
            await asking
            yield verdict, witness


async def _served(url: str) -> None:
    async with Client(url) as client:
        for _ in range(600):
            with contextlib.suppress(TransportError):
                if (await client.request("GET", f"/v2/models/{MODEL}/ready")).status == 200:
                    return
            await asyncio.sleep(0.1)
    raise RuntimeError("version 1 is not served")


def wrong_of(verdict: Verdict, witness: Witness, *, active: str = "1") -> list[str]:
    """What breaks a promise; `active` is the version that must be left."""
    wrong = []
    if verdict.code == 0 or verdict.active != active:
        wrong.append(f"{verdict.kind}: ended with {verdict.code} on version {verdict.active}")
    if witness.failed:
        failures = {k: n for k, n in witness.outcomes.items() if k != "right"}
        wrong.append(f"{verdict.kind}: {witness.failed} of {witness.asked} failed: {failures}")
    return wrong
