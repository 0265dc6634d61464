"""The routes by which a bundle comes to the fleet from somewhere else, and is wrapped there."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from litestar import Request, Response, post
from litestar.params import FromPath, JSONBody

from edgewright._fs import file_errors
from edgewright.errors import InputError, TransportError
from edgewright.fleet.people import User
from edgewright.fleet.people_api.access import TheOffice
from edgewright.fleet.publishing import ARRIVING_LIMIT_BYTES, Publication
from edgewright.fleet.swu import SwuOrder, SwuUpdate

SILENCE_S = 60.0
"""How long a sender may send nothing."""
LEAST_BYTES_PER_S = 16 << 10
"""What a sender must bring on average, once the first minute is over."""

_PIECE_BYTES = 1 << 20
_OFFERED, _WAITS = 201, 202


@post("/releases", opt={"permission": "publish"}, request_max_body_size=ARRIVING_LIMIT_BYTES)
async def publish(office: TheOffice, request: Request[User, Any, Any]) -> Response[Publication]:
    """Publish the bundle (.ewb) that is the body, of the type application/octet-stream. It is
    verified as if it lay here: 201 when it is offered now, 202 when keepers of the image repository
    must sign first. Sending it again changes nothing.
    """
    size_bytes = _announced(request)
    with office.publishing.arriving(size_bytes, by=request.user.name) as place:
        arrived_bytes = await _written(_pieces(request), place)
        if arrived_bytes != size_bytes:
            raise InputError(
                f"the bundle ended after {arrived_bytes} of {size_bytes} bytes",
                hint="send it again",
            )
        made = await asyncio.to_thread(office.publishing.publish, place, by=request.user.name)
    return Response(made, status_code=_OFFERED if made.release else _WAITS)


def _announced(request: Request[User, Any, Any]) -> int:
    text = request.headers.get("content-length", "")
    if not text.isascii() or not text.isdecimal():
        raise InputError(
            "a bundle is sent with its length, got no content-length",
            hint="curl --data-binary @X.ewb sends it",
        )
    return int(text)


async def _written(pieces: AsyncIterator[bytes], place: Path) -> int:
    """Put what arrives into a file, off the event loop; returns how much it was."""
    with file_errors(place, doing="writing"), place.open("xb") as file:
        gathered = bytearray()
        async for piece in pieces:
            gathered += piece
            if len(gathered) >= _PIECE_BYTES:
                await asyncio.to_thread(file.write, bytes(gathered))
                gathered.clear()
        await asyncio.to_thread(file.write, bytes(gathered))
        return file.tell()


async def _pieces(request: Request[User, Any, Any]) -> AsyncIterator[bytes]:
    stream = request.stream()
    clock, came_bytes = asyncio.get_running_loop().time, 0
    began_s = clock()
    try:
        while True:
            async with asyncio.timeout(SILENCE_S):
                piece = await anext(stream, None)
            if piece is None:
                return
            came_bytes += len(piece)
            require_pace(came_bytes, clock() - began_s)
            yield piece
    except TimeoutError as error:
        raise TransportError(
            f"nothing more of the bundle came for {SILENCE_S:g} s", hint="send it again"
        ) from error


def require_pace(came_bytes: int, elapsed_s: float) -> None:
    """Pass while a sender brings enough to be waited for.

    Raises:
        TransportError: it keeps its place for too little.
    """
    if elapsed_s > SILENCE_S and came_bytes < LEAST_BYTES_PER_S * (elapsed_s - SILENCE_S):
        raise TransportError(
            f"{came_bytes} bytes of the bundle came in {elapsed_s:.0f} s, expected at least "
            f"{LEAST_BYTES_PER_S} a second",
            hint="publish from a machine that is nearer to the fleet",
        )


@post("/releases/{reference:str}/swu", opt={"permission": "publish"}, sync_to_thread=True)
def wrap(
    office: TheOffice,
    request: Request[User, Any, Any],
    reference: FromPath[str],
    data: JSONBody[SwuOrder],
) -> SwuUpdate:
    """Wrap a release for SWUpdate, whose devices then take part in rollouts. The signature, where
    SWUpdate asks for one, was made elsewhere.
    """
    return office.registry.wrap(reference, data, by=request.user.name)


PUBLISHING = (publish, wrap)
