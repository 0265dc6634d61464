"""A release from the builder's file to what devices may be given, in the fleet's folder."""

from collections.abc import Sequence
from pathlib import Path

from edgewright.bundle.parcel import Label, write_parcel
from edgewright.chain import trust_repository
from edgewright.chain.fleet import IMAGE, open_fleet
from edgewright.errors import InputError
from edgewright.fleet.projects import DEFAULT_PROJECT
from edgewright.fleet.publishing import Publication
from edgewright.trust import Signer

PARCEL_DAYS = 30.0


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
        mine = office.within(office.projects.require(project))
        return mine.publishing.publish(file, by=by, signers=signers)


def export(
    home: Path,
    reference: str,
    *,
    device: str,
    out: Path,
    days: float,
    by: str,
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
        metadata = director.export(release, device, days=days, by=by, project=project)
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
