"""A released bundle as a target: its name, and the signed words about it that name the bundle.

The file's hash says what is downloaded; `bundle_id`, signed with it by the offline keys, says what
an unpacked slot must be long after the file is gone. Revoking a release is no longer listing it.

    >>> target_name("har", "1.2")
    'har/1.2.ewb'
    >>> target = Target(name="har/1.2.ewb", length_bytes=1, hashes={}, custom=b'{"bundle_id":"b"}')
    >>> released_bundle(target)
    'b'
"""

import msgspec

from edgewright.errors import TrustError
from edgewright.trust.target import Target

SUFFIX = ".ewb"


class Words(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a signer says about a released file: its bundle and, from the director of a fleet, the
    content key of an encrypted one, wrapped for the device that asks.
    """

    bundle_id: str
    wrapped_key: str = ""


def target_name(model: str, version: str) -> str:
    """The target that a model's version is."""
    return f"{model}/{version}{SUFFIX}"


def words_of(target: Target) -> Words:
    """What the signer of a target says about it.

    Raises:
        TrustError: it names no bundle, so it is no release.
    """
    try:
        return msgspec.json.decode(target.custom, type=Words)
    except msgspec.DecodeError as error:
        raise TrustError(
            f"target {target.name}: expected a release that names its bundle, got other words",
            hint="publish it with: edgewright release publish",
        ) from error


def released_bundle(target: Target) -> str:
    """The id of the bundle that a target is.

    Raises:
        TrustError: it names none.
    """
    return words_of(target).bundle_id
