"""The SVG quality model over HTTP: a picture and the tracer's parameters by name.

    GET  /v1/svg/parameters     names, ranges, defaults
    POST /v1/svg/predict        predicted SSIM of each candidate, and the best
    POST /v1/svg/recommend      the pick, traced for real beside the tracer's default
    GET  /livez, /readyz

A body is JSON ({"image": base64, "settings": {...}} or {"image": ..., "candidates": [...]}), or the
picture itself with the parameters in the query (`?mode=polygon&filter_speckle=2`).
"""

import asyncio
import base64
import binascii
import functools
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from edgewright.chain.svg import QualityModel, open_quality_model
from edgewright.clock import SystemClock
from edgewright.contract import decode_json
from edgewright.device.serve.refusal import RefusalError, refusal_of
from edgewright.errors import EdgewrightError, InputError
from edgewright.transports.http1 import Limits, Request, Response, start_server
from edgewright.workbench.recipes.svg.settings import DEFAULT, PARAMETERS, Settings, parse_settings

MOST_CANDIDATES = 1000
BODY_LIMIT_BYTES = 16 << 20
MOST_WAITING = 32

_JSON = {"content-type": "application/json"}


class _Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A JSON body."""

    image: str
    settings: dict[str, Any] | None = None
    candidates: tuple[dict[str, Any], ...] | None = None
    seed: int = 0


class SvgService:
    """A handler for `transports.http1.start_server`; the work is done in one thread."""

    def __init__(self, model: QualityModel) -> None:
        self._model = model
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="svg")
        self._waiting = 0

    async def __call__(self, request: Request) -> Response:
        try:
            return Response(
                status=200, headers=_JSON, body=msgspec.json.encode(await self._act(request))
            )
        except EdgewrightError as error:
            return _refused(refusal_of(error))
        except RefusalError as refusal:
            return _refused(refusal)

    def close(self) -> None:
        """Finish what is being worked on."""
        self._worker.shutdown()

    async def _act(self, request: Request) -> object:
        match request.method, request.path:
            case "GET", "/livez" | "/readyz":
                return {"ok": True}
            case "GET", "/v1/svg/parameters":
                return {"parameters": PARAMETERS, "defaults": DEFAULT}
            case "POST", "/v1/svg/predict":
                image, candidates, _ = _question(request)
                return await self._work(
                    functools.partial(self._model.predict, image, candidates, source="image")
                )
            case "POST", "/v1/svg/recommend":
                image, _, seed = _question(request, takes_settings=False)
                found = await self._work(
                    functools.partial(self._model.recommend, image, source="image", seed=seed)
                )
                return {"is_better": found.is_better, **msgspec.to_builtins(found)}
            case method, path:
                raise RefusalError(404, f"there is nothing at {method} {path}", reason="path")

    async def _work(self, work: Callable[[], Any]) -> Any:
        """Pilots and tracing take the time of many answers, so that few may wait."""
        if self._waiting >= MOST_WAITING:
            raise RefusalError(429, "too many wait already", reason="busy", retry_after_s=1)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, work)
        finally:
            self._waiting -= 1


def serve_quality_model(
    bundle: Path,
    *,
    host: str,
    port: int,
    on_ready: Callable[[str], None],
    features_file: Path | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        InputError: a bundle of another recipe.
        ResourceError: the address is taken.
    """

    async def run(service: SvgService) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        limits = Limits(body_bytes=BODY_LIMIT_BYTES)
        server = await start_server(
            service, host=host, port=port, limits=limits, clock=SystemClock()
        )
        on_ready(server.address)
        await stop.wait()
        await server.close()

    with open_quality_model(bundle, features_file=features_file) as model:
        service = SvgService(model)
        try:
            asyncio.run(run(service))
        finally:
            service.close()


def _question(
    request: Request, *, takes_settings: bool = True
) -> tuple[bytes, tuple[Settings, ...], int]:
    """The picture, the candidates and the seed of a request."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        if request.query and not takes_settings:
            raise InputError(f"query {sorted(request.query)}: settings are what is asked for")
        raw = {name: _value(text) for name, text in request.query.items()}
        return request.body, (parse_settings(raw, source="query"),), 0
    asked = decode_json(request.body, _Question, source="body")
    if not takes_settings and (asked.settings is not None or asked.candidates is not None):
        raise InputError("body: settings are what is asked for", hint="send the image alone")
    return _decoded(asked.image), _candidates(asked), asked.seed


def _candidates(asked: _Question) -> tuple[Settings, ...]:
    if asked.candidates is None:
        return (parse_settings(asked.settings or {}, source="settings"),)
    if asked.settings is not None:
        raise InputError("body: both settings and candidates", hint="send one of them")
    if not 1 <= len(asked.candidates) <= MOST_CANDIDATES:
        raise InputError(
            f"candidates: {len(asked.candidates)}, expected 1 to {MOST_CANDIDATES}",
            hint="split them over several requests",
        )
    return tuple(
        parse_settings(raw, source=f"candidates[{at}]") for at, raw in enumerate(asked.candidates)
    )


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"image: not base64: {error}", hint="encode the file's bytes") from error


def _value(text: str) -> str | int | float:
    """A query's text as the number that it looks like, else as a word."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _refused(refusal: RefusalError) -> Response:
    headers = dict(_JSON)
    if refusal.retry_after_s is not None:
        headers["retry-after"] = str(refusal.retry_after_s)
    return Response(
        status=refusal.status, headers=headers, body=msgspec.json.encode({"error": str(refusal)})
    )
