"""Golden requests to a model that is served: this child asks, its parent judges.

    python -m edgewright.chain.replay_child SOCKET FOLDER MODEL SECONDS

One golden request after the other goes over the server's Unix socket, at that pace, and what came
of each is printed as a line of JSON. It dies with its parent.
"""

import asyncio
import itertools
import sys
import time
from pathlib import Path

import msgspec

from edgewright.bundle import open_bundle
from edgewright.bundle.golden import decode_golden
from edgewright.chain.child import die_with_parent
from edgewright.contract import Tolerances
from edgewright.device.agent.ports import Answer
from edgewright.errors import InputError, TransportError
from edgewright.evidence.parity import compare
from edgewright.measure.load import LoadTarget
from edgewright.transports.http1 import Client, Response
from edgewright.validate.encoding import decode_answer
from edgewright.validate.questions import Question, golden_questions
from edgewright.validate.served_model import ask_metadata

ANSWER_S = 5.0
BUSY = frozenset({429, 503})


async def replay(socket: Path, folder: Path, model: str, *, pace_s: float) -> None:
    """Ask and print until killed.

    Raises:
        TransportError: nobody answers on the socket at all.
    """
    metadata = await ask_metadata(LoadTarget(uds=str(socket)), model)
    bundle = open_bundle(folder)
    golden = decode_golden(bundle.read(bundle.blob("golden")))
    tolerances = bundle.manifest.contract.tolerances
    encoder = msgspec.json.Encoder()
    async with Client(uds=socket, timeout_s=ANSWER_S) as client:
        for question in itertools.cycle(golden_questions(golden, metadata)):
            answer = await _ask(client, model, question, tolerances)
            sys.stdout.buffer.write(encoder.encode(answer) + b"\n")
            sys.stdout.buffer.flush()
            await asyncio.sleep(pace_s)


async def _ask(client: Client, model: str, question: Question, tolerances: Tolerances) -> Answer:
    start_s = time.perf_counter()
    try:
        response = await client.request("POST", f"/v2/models/{model}/infer", body=question.body)
    except TransportError as error:
        return Answer(problem=str(error)[:300])
    latency_ms = 1e3 * (time.perf_counter() - start_s)
    problem = _problem(response, question, tolerances)
    is_wrong = bool(problem) and response.status not in BUSY
    return Answer(latency_ms=latency_ms, problem=problem, is_wrong=is_wrong)


def _problem(response: Response, question: Question, tolerances: Tolerances) -> str:
    if response.status != 200:
        return f"status {response.status}: {response.body[:200].decode(errors='replace')}"
    try:
        comparison = compare(question.expected or {}, decode_answer(response.body), tolerances)
    except InputError as error:
        return str(error)[:300]
    return "; ".join(comparison.reasons[:3])[:300]


def main() -> None:
    """Ask the model that the command line names."""
    die_with_parent()
    socket, folder, model, pace_s = sys.argv[1:]
    asyncio.run(replay(Path(socket), Path(folder), model, pace_s=float(pace_s)))


if __name__ == "__main__":
    main()
