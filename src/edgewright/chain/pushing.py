"""Pushing wired: SSH as the link, `validate` as the one who knows right answers, many at a time."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec

from edgewright.bundle import Bundle, open_bundle
from edgewright.bundle.golden import decode_golden
from edgewright.clock import SystemClock, iso
from edgewright.errors import EdgewrightError, TransportError
from edgewright.fleet.push import HostReport, Parcel, Pusher, PushOptions, PushReport, Target
from edgewright.fleet.push.ports import Asked
from edgewright.fleet.push.wheelhouse import PACKAGE
from edgewright.transports.http1 import Client
from edgewright.transports.ssh import SshTarget, connected
from edgewright.validate.answers import check_answers
from edgewright.validate.questions import golden_questions
from edgewright.wire import v2


class SshOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to get in; what is absent is left to `~/.ssh`."""

    known_hosts: Path | None = None
    identities: tuple[Path, ...] = ()
    config: Path | None = None


class PushOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What to push, how, and whether it is to be taken back instead. Without a bundle it is the
    package alone, from the options' wheels.
    """

    bundle: Path | None = None
    ssh: SshOptions = SshOptions()
    options: PushOptions = PushOptions()
    is_rollback: bool = False
    at_once: int = 10


def push(targets: Sequence[Target], order: PushOrder) -> PushReport:
    """Push to every machine, some at a time; one that fails does not hold up the others.

    Raises:
        InputError: the bundle cannot be read.
        TrustError: the bundle is not what it says.
    """
    bundle = open_bundle(order.bundle) if order.bundle else None
    started = iso(SystemClock().wall_s())
    hosts = asyncio.run(_push_all(targets, order, bundle))
    return PushReport.of(
        hosts, bundle_id=bundle.id if bundle else "", text=_text(order, bundle), started=started
    )


def _text(order: PushOrder, bundle: Bundle | None) -> tuple[str, str]:
    """Name and version of what is pushed."""
    if bundle:
        return bundle.manifest.name, bundle.manifest.version
    newest = max(one.version for one in order.options.wheels if one.name == PACKAGE)
    return PACKAGE, str(newest)


async def _push_all(
    targets: Sequence[Target], order: PushOrder, bundle: Bundle | None
) -> list[HostReport]:
    places = asyncio.Semaphore(order.at_once)

    async def one(target: Target) -> HostReport:
        async with places:
            return await _push_one(target, order, bundle)

    return list(await asyncio.gather(*(one(target) for target in targets)))


async def _push_one(target: Target, order: PushOrder, bundle: Bundle | None) -> HostReport:
    ssh = SshTarget(
        host=target.host,
        user=target.user,
        port=target.port,
        known_hosts=order.ssh.known_hosts,
        identities=order.ssh.identities,
        config=order.ssh.config,
    )
    options = msgspec.structs.replace(
        order.options,
        home=target.home or order.options.home,
        edgewright=target.edgewright or order.options.edgewright,
    )
    parcel = _parcel(order.bundle, bundle) if order.bundle and bundle else None
    try:
        async with connected(ssh) as machine:
            pusher = Pusher(
                machine,
                parcel,
                options,
                clock=SystemClock(),
                examiner=_Examiner(bundle),
            )
            return await (pusher.roll_back() if order.is_rollback else pusher.push())
    except EdgewrightError as error:
        return HostReport(
            host=target.url,
            action="failed",
            model=_text(order, bundle)[0],
            error=str(error),
            exit_code=error.exit_code,
        )


def _parcel(path: Path, bundle: Bundle) -> Parcel:
    return Parcel(
        path=path,
        bundle_id=bundle.id,
        manifest=bundle.manifest,
        file_size_bytes=path.stat().st_size,
    )


class _Examiner:
    """Asks the golden questions of a bundle."""

    def __init__(self, bundle: Bundle | None) -> None:
        self._bundle = bundle

    async def __call__(self, address: str, model: str) -> Asked:
        if self._bundle is None:
            return Asked(asked=0, wrong=0, reasons=("no bundle, no questions",))
        golden = decode_golden(self._bundle.read(self._bundle.blob("golden")))
        async with Client(address) as client:
            metadata = await _metadata(client, model)
            questions = golden_questions(golden, metadata)
            answers: list[dict[bytes, int]] = []
            for question in questions:
                answer = await client.request(
                    "POST",
                    f"/v2/models/{model}/infer",
                    headers={"content-type": "application/json"},
                    body=question.body,
                )
                answers.append({answer.body: 1})
        checked = check_answers(answers, questions, self._bundle.manifest.contract.tolerances)
        return Asked(asked=checked.checked, wrong=checked.wrong, reasons=checked.reasons)


async def _metadata(client: Client, model: str) -> v2.ModelMetadata:
    answer = await client.request("GET", f"/v2/models/{model}")
    if answer.status != 200:
        raise TransportError(f"the served model {model} says status {answer.status}")
    return msgspec.json.decode(answer.body, type=v2.ModelMetadata)
