"""What changed between two bundles, in words a person can scan."""

import msgspec

from edgewright.bundle.read import Bundle


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One place in the manifest and its two values; empty where a side has none."""

    place: str
    before: str
    after: str


def diff_bundles(before: Bundle, after: Bundle) -> tuple[Difference, ...]:
    """The places in which two manifests and their signatures differ, sorted."""
    old, new = _places(before), _places(after)
    return tuple(
        Difference(place=place, before=old.get(place, ""), after=new.get(place, ""))
        for place in sorted(old.keys() | new.keys())
        if old.get(place) != new.get(place)
    )


def _places(bundle: Bundle) -> dict[str, str]:
    raw = msgspec.to_builtins(bundle.manifest)
    blobs = {blob.pop("name"): blob for blob in raw.pop("blobs")}
    signed = {signature.key_id[:12]: "signed" for signature in bundle.signatures}
    return dict(_flatten({**raw, "blobs": blobs, "signatures": signed}, ""))


def _flatten(value: object, place: str) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        items = [(f"{place}.{key}" if place else str(key), item) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        items = [(f"{place}[{index}]", item) for index, item in enumerate(value)]
    else:
        return [(place, str(value))]
    return [flat for key, item in items for flat in _flatten(item, key)]
