"""Bundles to and from OCI registries."""

import asyncio
import ssl
from pathlib import Path

import msgspec

from edgewright import _fs
from edgewright.bundle import is_sealed, open_bundle, read_head
from edgewright.chain.signing_keys import read_password
from edgewright.errors import EdgewrightError, InputError
from edgewright.transports.oci import Address, Login, Registry

KIND = "application/vnd.edgewright.bundle.v1"
LAYER = "application/vnd.edgewright.bundle.v1+tar"
SEALED_LAYER = "application/vnd.edgewright.bundle.v1.encrypted"


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """How to get in: who asks, and who is behind the registry's name, if not the system says."""

    user: str = ""
    password_file: Path | None = None
    authority: Path | None = None

    def login(self) -> Login | None:
        """Who asks; None for nobody in particular.

        Raises:
            InputError: a name without a password.
        """
        if not self.user:
            return None
        password = read_password(self.password_file)
        if password is None:
            raise InputError(f"{self.user}: no password", hint="give --password-file FILE")
        return Login(user=self.user, password=password)

    def tls(self) -> ssl.SSLContext | None:
        """Whom to believe.

        Raises:
            InputError: the file holds no certificate.
        """
        if self.authority is None:
            return None
        try:
            return ssl.create_default_context(cafile=self.authority)
        except (OSError, ssl.SSLError) as error:
            raise InputError(f"{self.authority}: no certificate (PEM): {error}") from error


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle in a registry."""

    address: str
    digest: str
    bundle_id: str
    name: str
    version: str
    size_bytes: int
    is_encrypted: bool


def push(file: Path, address: str, access: Access) -> Carried:
    """Put a bundle file, encrypted or not, under an address; every byte is checked first.

    Raises:
        InputError: no such file, not an address, or the registry does not let it in.
        TrustError: a byte of the bundle is wrong.
        TransportError: the registry does not answer.
    """
    place, about = Address.parse(address), _about(file)
    return asyncio.run(_push(file, place, about, access))


def pull(address: str, out: Path, access: Access) -> Carried:
    """Bring a bundle file from an address; a later run goes on where a cut left it.

    Raises:
        InputError: not an address, nothing there, or something is in the way.
        TrustError: what arrived is not what was promised, or no bundle; nothing of it stays.
        TransportError: the registry does not answer, or not to the end.
    """
    place = Address.parse(address)
    if out.exists():
        raise InputError(f"{out} exists already", hint="choose another name")
    return asyncio.run(_pull(place, out, access))


async def _push(
    file: Path, place: Address, about: tuple[str, str, str, bool], access: Access
) -> Carried:
    bundle_id, name, version, is_encrypted = about
    annotations = {
        "org.opencontainers.image.title": name,
        "org.opencontainers.image.version": version,
        "dev.edgewright.bundle-id": bundle_id,
    }
    async with Registry(place, login=access.login(), tls=access.tls()) as registry:
        digest = await registry.push(
            file,
            kind=KIND,
            layer_type=SEALED_LAYER if is_encrypted else LAYER,
            annotations=annotations,
        )
    return _carried(place, digest, file, about)


async def _pull(place: Address, out: Path, access: Access) -> Carried:
    async with Registry(place, login=access.login(), tls=access.tls()) as registry:
        digest, layer = await registry.look(kind=KIND)
        await registry.fetch(layer, out)
    try:
        about = _about(out)
    except EdgewrightError:
        _fs.remove_tree(out)
        raise
    return _carried(place, digest, out, about)


def _carried(place: Address, digest: str, file: Path, about: tuple[str, str, str, bool]) -> Carried:
    bundle_id, name, version, is_encrypted = about
    return Carried(
        address=f"oci://{place.host}/{place.repository}:{place.reference}",
        digest=digest,
        bundle_id=bundle_id,
        name=name,
        version=version,
        size_bytes=file.stat().st_size,
        is_encrypted=is_encrypted,
    )


def _about(file: Path) -> tuple[str, str, str, bool]:
    """Id, name, version of a bundle file, and whether it is encrypted; what can be is checked."""
    if is_sealed(file):
        head = read_head(file)
        return head.bundle_id, head.name, head.version, True
    bundle = open_bundle(file)
    return bundle.id, bundle.manifest.name, bundle.manifest.version, False
