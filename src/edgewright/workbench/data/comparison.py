"""What differs between two versions of a dataset. Pure."""

import msgspec

from edgewright.workbench.data.recordings import Dataset, natural_order


class DatasetDiff(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two versions, by recording: a changed one has the same name and other content."""

    before: str
    after: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    same: int
    facts: tuple[str, ...]

    @property
    def is_same(self) -> bool:
        """Whether both hold the same content."""
        return self.before == self.after


def compare_datasets(before: Dataset, after: Dataset) -> DatasetDiff:
    """Recordings that were added, removed and changed, and facts (channels, labels, rate) that
    differ.
    """
    old = {each.name: each.digest for each in before.recordings}
    new = {each.name: each.digest for each in after.recordings}
    common = old.keys() & new.keys()
    changed = {name for name in common if old[name] != new[name]}
    return DatasetDiff(
        before=before.content_hash,
        after=after.content_hash,
        added=natural_order(new.keys() - old.keys()),
        removed=natural_order(old.keys() - new.keys()),
        changed=natural_order(changed),
        same=len(common) - len(changed),
        facts=tuple(_facts(before, after)),
    )


def _facts(before: Dataset, after: Dataset) -> list[str]:
    pairs = {
        "channels": (_channels(before), _channels(after)),
        "labels": (" ".join(before.label_names), " ".join(after.label_names)),
        "rate": (f"{before.rate_hz:g} Hz", f"{after.rate_hz:g} Hz"),
        "subjects": (" ".join(before.subjects), " ".join(after.subjects)),
    }
    return [f"{name}: {old} -> {new}" for name, (old, new) in pairs.items() if old != new]


def _channels(dataset: Dataset) -> str:
    return " ".join(f"{channel.name}[{channel.unit}]" for channel in dataset.channels)
