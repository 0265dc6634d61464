"""A device installs only what two repositories say: the image repository, signed with offline keys,
that the file exists; the director, signed online, that this device shall have it.

Whoever holds the director can therefore choose among released files and nothing else. The director
may add words of its own (`custom`: a wrapped content key); what the file is, it must repeat.

    >>> image = Target(name="a.ewb", length_bytes=3, hashes={"sha256": "ab"})
    >>> agreed_target(image=image, director=image) == image
    True
"""

import msgspec

from edgewright.errors import TrustError
from edgewright.trust.target import Target


def agreed_target(*, image: Target, director: Target) -> Target:
    """The file that both mean, with the director's words about it.

    Raises:
        TrustError: they speak of different names, lengths or contents.
    """
    for field in ("name", "length_bytes"):
        promised, ordered = getattr(image, field), getattr(director, field)
        if promised != ordered:
            raise TrustError(
                f"target {image.name}: {field}: released {promised}, ordered {ordered}"
            )
    common = image.hashes.keys() & director.hashes.keys()
    differing = [kind for kind in sorted(common) if image.hashes[kind] != director.hashes[kind]]
    if differing or not common:
        raise TrustError(
            f"target {image.name}: expected the released content, the director orders another "
            f"({', '.join(differing) or 'no hash in common'})",
            hint="the director was changed by somebody without release keys",
        )
    return msgspec.structs.replace(image, custom=director.custom)
