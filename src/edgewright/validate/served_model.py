"""What a V2 server says about a model before the load begins."""

from pathlib import Path
from urllib.parse import quote

import msgspec

from edgewright.errors import EdgewrightError, InputError, TransportError
from edgewright.measure.load import LoadTarget
from edgewright.transports.http1 import Client, Response
from edgewright.wire import v2

_TIMEOUT_S = 10.0
_NOT_FOUND = 404
_SUCCESS = 200


def open_client(target: LoadTarget) -> Client:
    """A client for the few questions before and after the load."""
    if target.uds:
        return Client(uds=Path(target.uds), timeout_s=_TIMEOUT_S)
    return Client(f"http://{target.authority}", timeout_s=_TIMEOUT_S)


def model_path(model: str) -> str:
    """Where a V2 server has a model, whatever a person calls it."""
    return f"/v2/models/{quote(model, safe='')}"


async def ask_metadata(target: LoadTarget, model: str) -> v2.ModelMetadata:
    """The served model's tensors.

    Raises:
        TransportError: nobody answers there.
        InputError: no such model, or the answer is not V2.
    """
    path = f"{target.path}{model_path(model)}"
    async with open_client(target) as client:
        answer = await client.request("GET", path)
        if answer.status == _NOT_FOUND:
            raise InputError(
                f"{target.text} serves no model {model!r}",
                hint=await _known_models(client, target),
            )
    if answer.status != _SUCCESS:
        raise TransportError(
            f"{target.text}{path.removeprefix(target.path)} answered {answer.status}: "
            f"{answer.body[:200].decode(errors='replace')}",
            hint="wait until the server is ready",
        )
    return _decode(answer, target)


async def list_models(target: LoadTarget) -> list[str]:
    """The names of the models that a server lists; empty when it does not say."""
    async with open_client(target) as client:
        return await _model_names(client, target)


def _decode(answer: Response, target: LoadTarget) -> v2.ModelMetadata:
    try:
        return msgspec.json.decode(answer.body, type=v2.ModelMetadata)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{target.text} does not speak the V2 protocol: {error} ({answer.body[:60]!r})",
            hint="validate a server with GET /v2/models/NAME",
        ) from error


async def _known_models(client: Client, target: LoadTarget) -> str:
    try:
        names = await _model_names(client, target)
    except EdgewrightError:
        names = []
    return f"it serves: {', '.join(names)}" if names else "check --model and the URL's path"


async def _model_names(client: Client, target: LoadTarget) -> list[str]:
    answer = await client.request("POST", f"{target.path}/v2/repository/index", body=b"{}")
    try:
        models = msgspec.json.decode(answer.body, type=list[v2.RepositoryModel])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []
    return [model.name for model in models]
