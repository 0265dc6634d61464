"""Two versions side by side: each is served, or is there already; both get the same questions."""

import asyncio

import msgspec
import numpy as np
import uvloop

from edgewright.bundle.golden import decode_golden
from edgewright.chain.validation import Subject, ValidationOrder, subject_of
from edgewright.clock import SystemClock
from edgewright.validate.questions import Question, drawn_questions, golden_questions
from edgewright.validate.versus import (
    Contender,
    VersusOrder,
    VersusReport,
    compare_side_by_side,
)
from edgewright.validate.ways import only_model


def run_versus(asked: ValidationOrder, against: str, order: VersusOrder) -> VersusReport:
    """Is `asked.target` slower than `against`?

    Raises:
        EdgewrightError: as `run_validation`.
    """
    earlier = msgspec.structs.replace(asked, target=against)

    async def work(before: Subject, after: Subject) -> VersusReport:
        first = await _contender(earlier, before)
        second = await _contender(asked, after)
        questions = await _questions(first, before, asked.seed)
        return await compare_side_by_side(first, second, questions, order, clock=SystemClock())

    with (
        subject_of(earlier) as before,
        subject_of(asked) as after,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(work(before, after))


async def _contender(asked: ValidationOrder, subject: Subject) -> Contender:
    bundle, target = subject.bundle, subject.served.target
    model = asked.model or (bundle.manifest.name if bundle else await only_model(asked.way, target))
    text = asked.target
    if bundle:
        text = f"bundle {bundle.id[:12]} ({bundle.manifest.name} {bundle.manifest.version})"
    pid = subject.served.pid
    return Contender(target=target, model=model, text=text, way=asked.way, pid=pid)


async def _questions(first: Contender, subject: Subject, seed: int) -> tuple[Question, ...]:
    metadata = await first.way.metadata(first.target, first.model)
    bundle = subject.bundle
    if bundle is not None and any(blob.role == "golden" for blob in bundle.manifest.blobs):
        golden = decode_golden(bundle.read(bundle.blob("golden")))
        return golden_questions(golden, metadata)
    contract = bundle.manifest.contract if bundle else None
    return drawn_questions(metadata, contract, rng=np.random.default_rng(seed))
