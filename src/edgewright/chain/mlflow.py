"""Releases of a fleet to an MLflow registry and back.

Out: the release's own file becomes the artifact of a run and a version of a registered model, its
lineage the version's tags, its aliases the model's. In: a version that came from here gives the
very bundle back, byte by byte; a model that was trained elsewhere gives its ONNX file, which is
built into a bundle like any other.
"""

import hashlib
import ssl
from pathlib import Path

import msgspec

from edgewright import _fs
from edgewright.errors import AbsentError, InputError, TrustError
from edgewright.fleet.office import Office
from edgewright.transports.mlflow import ModelVersion, Registry, connected

EXPERIMENT = "edgewright"
PREFIX = "edgewright."
BUNDLE_ID = f"{PREFIX}bundle_id"
FILE_SHA256 = f"{PREFIX}file_sha256"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """An MLflow server, and what lets us in."""

    url: str
    token: str = ""
    tls: ssl.SSLContext | None = None

    def __repr__(self) -> str:
        return f"Place({self.url!r})"


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What a release is there."""

    name: str
    version: str
    bundle_id: str
    aliases: tuple[str, ...]
    is_new: bool


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What was fetched: `kind` is "bundle" for one of ours, "onnx" for another's model."""

    name: str
    version: str
    kind: str
    path: Path
    size_bytes: int
    bundle_id: str = ""


async def export_release(office: Office, reference: str, place: Place, *, name: str) -> Exported:
    """Bring a release of a project to a registry, under its model's name unless told otherwise.
    Doing so again adds nothing, and lets aliases follow.

    Raises:
        AbsentError: no such release.
        TransportError, TrustError: the server does not answer, or does not let us in.
    """
    release = office.registry.release(reference)
    lineage = office.lineages.of_release(release.bundle_id)
    _, file = office.registry.file(release.bundle_id)
    named = name or release.model
    tags = {
        BUNDLE_ID: release.bundle_id,
        FILE_SHA256: release.file_sha256,
        f"{PREFIX}version": release.version,
        f"{PREFIX}format": release.format,
        f"{PREFIX}precision": release.precision,
        f"{PREFIX}signers": ",".join(release.signers),
        **{
            f"{PREFIX}{key}": str(value)
            for key, value in msgspec.to_builtins(release.provenance).items()
            if value
        },
    }
    async with connected(place.url, token=place.token, tls=place.tls) as registry:
        await registry.add_model(named)
        known = [v for v in await registry.versions(named) if v.tag(BUNDLE_ID) == release.bundle_id]
        made = known[0] if known else await _added(registry, named, release.text, file, tags)
        for alias in lineage.aliases:
            await registry.set_alias(named, alias, made.version)
    return Exported(
        name=named,
        version=made.version,
        bundle_id=release.bundle_id,
        aliases=tuple(lineage.aliases),
        is_new=not known,
    )


async def import_version(place: Place, reference: str, out: Path) -> Imported:
    """Fetch what NAME@ALIAS or NAME/VERSION of a registry means into a file.

    Raises:
        InputError: no such reference, or a file is there already.
        AbsentError: no such model or version, or it holds neither a bundle nor an ONNX model.
        TrustError: a bundle is not the one that the registry promises.
    """
    name, alias, number = _parsed(reference)
    _require_free(out)
    async with connected(place.url, token=place.token, tls=place.tls) as registry:
        found = await registry.version(name, alias=alias, number=number)
        place_there = await registry.place(found)
        files = await registry.files(place_there)
        bundles = [path for path, _ in files if path.endswith(".ewb")]
        models = [path for path, _ in files if path.endswith(".onnx")]
        wanted = bundles or models
        if len(wanted) != 1:
            raise AbsentError(
                f"{reference}: expected one .ewb or one .onnx among {[p for p, _ in files][:20]}",
                hint="log the model with mlflow.onnx.log_model, or export it from a fleet",
            )
        await registry.fetch(place_there, wanted[0], out)
    return _looked_at(found, out, is_bundle=bool(bundles))


def _require_free(out: Path) -> None:
    if out.exists():
        raise InputError(f"{out} exists already", hint="choose another name")


def _looked_at(found: ModelVersion, out: Path, *, is_bundle: bool) -> Imported:
    """What came, compared with what was promised; a file that is another is not kept."""
    with _fs.file_errors(out, doing="reading"), out.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    promised = found.tag(FILE_SHA256) if is_bundle else ""
    if promised and promised != sha256:
        out.unlink()
        raise TrustError(
            f"{found.name}/{found.version}: the file is {sha256[:12]}..., promised was "
            f"{promised[:12]}...",
            hint="somebody changed it in MLflow's store; take the release from the fleet",
        )
    return Imported(
        name=found.name,
        version=found.version,
        kind="bundle" if is_bundle else "onnx",
        path=out,
        size_bytes=out.stat().st_size,
        bundle_id=found.tag(BUNDLE_ID) if is_bundle else "",
    )


async def _added(
    registry: Registry, name: str, text: str, file: Path, tags: dict[str, str]
) -> ModelVersion:
    run_id, uri = await registry.begin_run(EXPERIMENT, text, tags)
    await registry.put_file(file, f"{uri}/bundle/{name}.ewb")
    await registry.end_run(run_id)
    return await registry.add_version(
        name, source=f"{uri}/bundle", run_id=run_id, tags=tags, text=f"release {text}"
    )


def _parsed(reference: str) -> tuple[str, str, str]:
    """Name, alias, number; one of the last two is empty."""
    name, at, alias = reference.rpartition("@")
    if at and name and alias:
        return name, alias, ""
    name, slash, number = reference.rpartition("/")
    if slash and name and number.isdecimal():
        return name, "", number
    raise InputError(
        f"{reference!r} is no version of a model in MLflow",
        hint="write NAME@ALIAS or NAME/VERSION, like gearbox@champion or gearbox/3",
    )
