"""A release from the builder's file to what devices may be given.

Where the fleet keeps an image repository, publishing is two steps that may be one: the bundle is
staged as a target for the keepers to sign, and when the last signature is there the fleet offers
it. Without a repository the bundle's own signatures decide, by the keys that the fleet trusts.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from edgewright.bundle import open_bundle
from edgewright.bundle.parcel import Label, write_parcel
from edgewright.chain import trust_repository
from edgewright.chain.fleet import IMAGE, online_key, open_fleet
from edgewright.clock import SystemClock
from edgewright.errors import InputError
from edgewright.fleet.projects import DEFAULT_PROJECT
from edgewright.fleet.registry import Release
from edgewright.trust import Signer
from edgewright.trust.release import Words, target_name
from edgewright.trust.repository import Lack

PARCEL_DAYS = 30.0


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """What came of publishing: a release, or whose signatures it waits for."""

    target: str
    bundle_id: str
    is_target: bool = False
    release: Release | None = None
    lacks: tuple[Lack, ...] = ()


def publish(
    home: Path,
    file: Path,
    *,
    by: str,
    signers: Sequence[Signer] = (),
    project: str = DEFAULT_PROJECT,
) -> Publication:
    """Verify a bundle file, have it promised by the image repository, and offer it.

    Raises:
        TrustError: a byte is wrong, it is encrypted to others than this fleet, or the version is
        promised as another file.
        InputError: no such file or fleet, or a key that may sign nothing here.
    """
    with open_fleet(home, create=trust_repository.exists(home / IMAGE)) as office:
        office.projects.require(project)
        bundle = open_bundle(file, content_key=office.recipients.content_key(file))
    name = target_name(bundle.manifest.name, bundle.manifest.version)
    image = home / IMAGE
    lacks: tuple[Lack, ...] = ()
    is_target = trust_repository.exists(image)
    if is_target:
        lacks = _promised(home, file, name, bundle.id, signers)
    release = None
    if not lacks:
        with open_fleet(home) as office:
            mine = office.within(office.projects.require(project))
            release = mine.registry.publish(file, by=by)
    return Publication(
        target=name, bundle_id=bundle.id, is_target=is_target, release=release, lacks=lacks
    )


def export(
    home: Path,
    reference: str,
    *,
    device: str,
    out: Path,
    days: float,
    project: str = DEFAULT_PROJECT,
) -> Label:
    """Write an air-gap file: a release with the metadata of both repositories for one device, or of
    the image repository alone.

    Raises:
        InputError: no such release or device, or the fleet keeps no image repository.
    """
    with open_fleet(home) as fleet:
        office = fleet.within(fleet.projects.require(project))
        director = office.director
        if director is None or not director.is_on:
            raise InputError(
                f"the fleet in {home} keeps no image repository",
                hint="carry the signed .ewb itself, or make one: edgewright trust init",
            )
        if device:
            office.devices.show(device)
        release = office.registry.release(reference)
        metadata = director.export(release, device, days=days)
        _, file = office.registry.file(release.bundle_id)
    label = Label(
        model=release.model,
        version=release.version,
        bundle_id=release.bundle_id,
        file_sha256=release.file_sha256,
        file_size_bytes=release.file_size_bytes,
    )
    write_parcel(out, label, metadata, file)
    return label


def _promised(
    home: Path, file: Path, name: str, bundle_id: str, signers: Sequence[Signer]
) -> tuple[Lack, ...]:
    """Stage the target unless it is there, sign with what was given; what is missing then."""
    image, wall_s = home / IMAGE, SystemClock().wall_s()
    sha256 = trust_repository.sha256_of(file)
    promise = trust_repository.promised(image, name)
    if promise.published == sha256:
        return ()
    if promise.published:
        raise InputError(
            f"{name} is released as another file already",
            hint="build it again under a new version",
        )
    if promise.staged != sha256:
        words = msgspec.to_builtins(Words(bundle_id=bundle_id))
        trust_repository.add_target(image, file, name=name, wall_s=wall_s, custom=words)
    status = trust_repository.status(image, wall_s=wall_s)
    for signer in (*signers, online_key(home)):
        wanted = {key_id for lack in status.lacks for key_id in lack.key_ids}
        if status.lacks and signer.public.key_id in wanted:
            status = trust_repository.sign_by(image, signer, wall_s=wall_s)
    return status.lacks
