"""The part of hawkBit's Direct Device Integration API that SWUpdate speaks, as values.

    GET  /TENANT/controller/v1/NAME                              -> Root
    PUT  /TENANT/controller/v1/NAME/configData                   ConfigData
    GET  /TENANT/controller/v1/NAME/deploymentBase/ACTION        -> Deployment
    POST /TENANT/controller/v1/NAME/deploymentBase/ACTION/feedback   Feedback
    GET  /TENANT/controller/v1/NAME/softwaremodules/BUNDLE/artifacts/FILE

The header `Authorization: TargetToken SECRET` carries the device's secret.
"""

from typing import Any, Literal

import msgspec

TENANT = "default"


class Link(msgspec.Struct, frozen=True):
    """An address."""

    href: str


class Polling(msgspec.Struct, frozen=True):
    """How often to ask, as HH:MM:SS."""

    sleep: str


class Config(msgspec.Struct, frozen=True):
    """What the server asks of the device."""

    polling: Polling


class Root(msgspec.Struct, frozen=True, rename={"links": "_links"}):
    """What there is to do."""

    config: Config
    links: dict[str, Link]


class Artifact(msgspec.Struct, frozen=True, rename={"links": "_links"}):
    """A file to fetch."""

    filename: str
    hashes: dict[str, str]
    size: int
    links: dict[str, Link]


class Chunk(msgspec.Struct, frozen=True):
    """A part of a deployment."""

    part: str
    version: str
    name: str
    artifacts: tuple[Artifact, ...]


class DeploymentPlan(msgspec.Struct, frozen=True):
    """How and what."""

    download: str
    update: str
    chunks: tuple[Chunk, ...]


class Deployment(msgspec.Struct, frozen=True):
    """One order to a device."""

    id: str
    deployment: DeploymentPlan


class Result(msgspec.Struct, frozen=True):
    """How it went: success, failure or none yet."""

    finished: str = "none"


class FeedbackStatus(msgspec.Struct, frozen=True):
    """Where the device stands."""

    execution: str
    result: Result = Result()
    details: tuple[Any, ...] = ()


class Feedback(msgspec.Struct, frozen=True):
    """What a device says of an order."""

    status: FeedbackStatus


class ConfigData(msgspec.Struct, frozen=True):
    """What a device says of itself, and whether that joins or replaces what it said before, or
    takes it away.
    """

    data: dict[str, Any] = {}
    mode: Literal["merge", "replace", "remove"] = "merge"
