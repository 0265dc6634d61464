"""The description of the people's API: what the framework derives from the types, with an example
of every value that is sent and the refusals that every route may answer with.

Examples are values of the very types, so that one that fits no more does not start.
"""

from typing import Any

import msgspec
from litestar import Request
from litestar.openapi.plugins import JsonRenderPlugin

from edgewright.fleet.aliases import Alias
from edgewright.fleet.devices import Device, ModelOnDevice, NewToken, TokenOrder
from edgewright.fleet.notify.notifiers import NotifierOrder
from edgewright.fleet.people import Membership, User, UserToken
from edgewright.fleet.people_api.commands import (
    AbortOrder,
    AddedDevice,
    AliasOrder,
    Decision,
    DeviceOrder,
    LabelOrder,
    Reason,
    TimezoneOrder,
)
from edgewright.fleet.people_api.login import Login
from edgewright.fleet.people_api.members import RoleOrder, TokenWish
from edgewright.fleet.quality import Quality
from edgewright.fleet.remote_commands import CommandOrder
from edgewright.fleet.rollout_options import RolloutOptions
from edgewright.fleet.rollout_plan import RolloutOrder
from edgewright.fleet.rollout_terms import Limits
from edgewright.fleet.swu import SwuOrder, SwuPlaces
from edgewright.wire.device_api import Problem

_BUNDLE = "accb74bae512bd2a86880a24f8bc35ee46004911db1aec8970942efcddd6dae8"
_AT_S = 1_767_225_600.0
"""2026-01-01T00:00:00Z."""

EXAMPLES: tuple[msgspec.Struct, ...] = (
    RolloutOrder(
        release="gearbox@2",
        query="site=berlin,!retired",
        waves="1,10%,100%",
        limits=Limits(success_percent=98.0, starts_per_min=100.0, validated_min_count=1),
        options=RolloutOptions(window="mon-fri 22:00-04:00", quality=Quality(worst_ratio=1.5)),
    ),
    Reason(reason="too many alarms from line 3"),
    AbortOrder(reason="wrong labels", returns=True),
    TokenOrder(uses=20, lifetime_s=3600.0, labels={"site": "berlin"}),
    DeviceOrder(name="press-7", labels={"site": "berlin"}),
    LabelOrder(labels={"ring": "canary", "spare": None}),
    TimezoneOrder(timezone="Europe/Berlin"),
    SwuOrder(places=SwuPlaces(home="/data/edgewright", incoming="/data/edgewright/incoming")),
    CommandOrder(kind="support-bundle", lifetime_s=3600.0),
    AliasOrder(release="gearbox@2"),
    Decision(is_approved=True),
    NotifierOrder(name="ops", url="https://hooks.example/edgewright", topics=("rollout", "alert")),
    RoleOrder(role="releaser"),
    TokenWish(lifetime_s=86_400.0, scopes=("read",)),
    Login(name="ada", password="correct horse battery"),  # noqa: S106 - an example
    NewToken(token="ewt_...", uses=20, expires_at_s=_AT_S + 3600),  # noqa: S106 - an example
    AddedDevice(name="press-7", secret="ewd_..."),  # noqa: S106 - an example
    UserToken(user="ada", token="ewu_...", expires_at_s=_AT_S),  # noqa: S106 - an example
    Alias(
        model="gearbox", alias="production", bundle_id=_BUNDLE, set_by="ada", approved_by="grace",
        changed_at_s=_AT_S,
    ),
    User(name="ada", role="releaser", project="press-shop", created_at_s=_AT_S),
    Membership(project="press-shop", role="releaser"),
    Device(
        name="press-7",
        labels={"site": "berlin"},
        enrolled_at_s=_AT_S,
        last_seen_s=_AT_S + 60,
        is_revoked=False,
        timezone="Europe/Berlin",
        models=(
            ModelOnDevice(
                model="gearbox",
                desired_version="2",
                desired_bundle_id=_BUNDLE,
                rollout=4,
                running_version="1",
                state="download",
            ),
        ),
    ),
)  # fmt: skip
"""One value of each of these types."""

REFUSALS = {
    "401": "No token or session, or one that has ended.",
    "403": "Not by this role or token.",
    "404": "Not there, or not in this project.",
}

SENT_FILES = "/releases"
"""Where a POST carries a file, which the framework cannot see: its route reads what arrives."""
_FILE = {
    "required": True,
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}


class DescriptionPlugin(JsonRenderPlugin):
    """Renders the description with what this file adds to it."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The description as JSON."""
        return super().render(request, completed(openapi_schema))


def completed(description: dict[str, Any]) -> dict[str, Any]:
    """A description with examples, and with the refusals that every operation has."""
    schemas = dict(description["components"]["schemas"])
    for value in EXAMPLES:
        name = type(value).__name__
        schemas[name] = {**schemas[name], "examples": [msgspec.to_builtins(value)]}
    name = Problem.__name__
    (_,), known = msgspec.json.schema_components(
        [Problem], ref_template="#/components/schemas/{name}"
    )
    schemas[name] = known[name]
    body = {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
    refusals = {status: {"description": text, "content": body} for status, text in REFUSALS.items()}
    paths = {
        path: {
            method: {**operation, "responses": {**refusals, **operation["responses"]}}
            for method, operation in methods.items()
        }
        for path, methods in description["paths"].items()
    }
    for path in (path for path in paths if path.endswith(SENT_FILES)):
        paths[path] = {**paths[path], "post": {**paths[path]["post"], "requestBody": _FILE}}
    components = {**description["components"], "schemas": schemas}
    return {**description, "components": components, "paths": paths}
