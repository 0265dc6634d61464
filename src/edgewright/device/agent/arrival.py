"""How a release gets into a slot: checked, downloaded, verified, staged. What runs goes on."""

import hashlib
import logging
from pathlib import Path

from edgewright import _fs
from edgewright.bundle import open_bundle
from edgewright.bundle.hooks import require_hooks_allowed, require_step_hooks_allowed
from edgewright.bundle.patch import apply_patch
from edgewright.device.agent.air_gap import AirGap
from edgewright.device.agent.machine import Event
from edgewright.device.agent.ports import Fleet, Source
from edgewright.device.agent.progress import Outcome, Progress, Release
from edgewright.device.agent.tools import Tools
from edgewright.errors import InputError, ResourceError, TransportError, TrustError

RETRY_S = 1.0
STALLED_MOST = 3

_log = logging.getLogger(__name__)


class Arrival:
    """The actions up to a staged slot."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def part_bytes(self, release: Release | None) -> int:
        """How much of a release's download is here."""
        if release is None or not release.file_sha256 or release.origin == "file":
            return 0
        part = self._part(release)
        parts = (part, part.with_suffix(".patch"))
        return sum(path.stat().st_size for path in parts if path.exists())

    async def check(self, progress: Progress, release: Release) -> Outcome:
        """Released, ordered, not marked bad, not active already, and there is room."""
        tools = self._tools
        bad = progress.why_bad(release.bundle_id)
        if bad and release.origin == "fleet":
            return Outcome(event=Event.NOTHING, reason=f"marked bad before: {bad}")
        wall_s = tools.clock.wall_s()
        source = await tools.blocking(lambda: self._source(release))
        if source is not None:  # news of revoked releases count even when this one is active
            await tools.trust.approve(release, source, wall_s=wall_s)
        if release.bundle_id == progress.good == tools.slots.current(release.model):
            damage = await tools.why_unusable(release)
            if not damage:
                return Outcome(event=Event.NOTHING, reason="already active")
        if source is None:
            await tools.trust.approve(release, None, wall_s=wall_s)
        await tools.blocking(lambda: self._make_room(progress, release))
        return Outcome(event=Event.OFFERED, reason=f"offered by {release.origin}")

    async def download(self, progress: Progress, release: Release) -> Outcome:
        """The bundle file, from wherever the release came."""
        if not await self._tools.why_unusable(release):
            return Outcome(event=Event.DONE, reason="already on this device")
        if release.origin == "file":
            return self._local_file(release)
        file = self._file(release)
        if file.exists():
            return Outcome(event=Event.DONE, reason="already downloaded")
        if release.origin == "parcel":
            await self._tools.blocking(lambda: AirGap(Path(release.path)).extract(file))
            return Outcome(event=Event.DONE, reason="taken out of the air-gap file")
        return await self._fetched_in_spite_of_cuts(release, file)

    async def verify(self, progress: Progress, release: Release) -> Outcome:
        """Every hash and signature of the file."""
        if not await self._tools.why_unusable(release):
            return Outcome(event=Event.DONE, reason="the slot was there and verifies")
        file = self._file(release)
        if not file.is_file():
            raise ResourceError(f"{file} is gone", hint="apply it again")
        await self._tools.blocking(lambda: self._verify_file(file, release))
        return Outcome(event=Event.DONE, reason="every hash and signature is right")

    async def stage(self, progress: Progress, release: Release) -> Outcome:
        """Unpacked into its slot and read back."""
        file, slots, tools = self._file(release), self._tools.slots, self._tools
        await tools.blocking(
            lambda: slots.stage(
                file,
                model=release.model,
                bundle_id=release.bundle_id,
                content_key=self._content_key(file, release),
            )
        )
        if release.origin != "file":
            await tools.blocking(lambda: _fs.remove_tree(file))
        return Outcome(event=Event.DONE, reason="written and read back")

    def _make_room(self, progress: Progress, release: Release) -> None:
        """Room for the file and its slot. Where there is none, the bundle before the committed one
        goes: it would go at the commit, and the factory's stays to return to.

        Raises:
            ResourceError: there is not enough even so.
        """
        slots, size_bytes = self._tools.slots, self._needed_bytes(release)
        try:
            slots.require_room(size_bytes)
        except ResourceError:
            spare = {progress.previous} - {progress.good, progress.factory, release.bundle_id}
            if not slots.collect(release.model, progress.needed - spare | {release.bundle_id}):
                raise
            _log.info("model=%s the bundle before was removed to make room", release.model)
            slots.require_room(size_bytes)

    def _needed_bytes(self, release: Release) -> int:
        """What is still to be written: a slot, and before it the file unless it is here."""
        if self._tools.slots.folder(release.model, release.bundle_id).is_dir():
            return 0
        if release.origin == "file":
            return release.file_size_bytes
        here = self.part_bytes(release)
        if self._file(release).exists():
            here = release.file_size_bytes
        return 2 * release.file_size_bytes - min(here, release.file_size_bytes)

    async def _fetched_in_spite_of_cuts(self, release: Release, file: Path) -> Outcome:
        """A line that is cut again and again brings the file, as long as each try brings some."""
        stalled = 0
        while True:
            before = self.part_bytes(release)
            try:
                return await self._fetched(release, file)
            except TransportError:
                stalled = 0 if self.part_bytes(release) > before else stalled + 1
                if stalled == STALLED_MOST:
                    raise
            await self._tools.clock.sleep(RETRY_S * 2**stalled)

    async def _fetched(self, release: Release, file: Path) -> Outcome:
        size = release.file_size_bytes
        patch_bytes = 0 if self._part(release).exists() else await self._patched(release, file)
        if patch_bytes:
            share = f"{100 * patch_bytes / size:.2f} %"
            reason = f"{patch_bytes} bytes as a patch, {share} of {size}"
            return Outcome(event=Event.DONE, reason=reason)
        part = self._part(release)
        await self._asked_fleet().download(release, part)
        await self._tools.blocking(lambda: _fs.move(part, file))
        return Outcome(event=Event.DONE, reason=f"{size} bytes")

    async def _patched(self, release: Release, file: Path) -> int:
        """Make the file out of the bundle that is active; how many bytes came, 0 when the whole
        file must come.
        """
        slots, patch = self._tools.slots, self._part(release).with_suffix(".patch")
        base = slots.current(release.model)
        if not base or not await self._asked_fleet().patch(release, base, patch):
            return 0

        def make() -> int:
            size_bytes = patch.stat().st_size
            try:
                apply_patch(patch, slots.verified(release.model, base), file)
                _require_file(file, release.file_sha256)
            except (TrustError, InputError) as error:
                _log.warning("bundle=%s patch refused: %s", release.bundle_id[:12], error)
                _fs.remove_tree(file)
                size_bytes = 0
            _fs.remove_tree(patch)
            return size_bytes

        return await self._tools.blocking(make)

    def _asked_fleet(self) -> Fleet:
        if self._tools.fleet is None:
            raise TransportError(
                "this device has no fleet to ask", hint="enrol it, or apply a file"
            )
        return self._tools.fleet

    def _source(self, release: Release) -> Source | None:
        """Where the metadata about a release comes from; None when what is kept must do."""
        match release.origin:
            case "fleet":
                return self._tools.fleet
            case "parcel":
                return AirGap(Path(release.path))
            case _:
                return None

    def _local_file(self, release: Release) -> Outcome:
        if Path(release.path).is_file():
            return Outcome(event=Event.DONE, reason="a local file")
        raise ResourceError(f"{release.path} is gone", hint="apply it again")

    def _verify_file(self, file: Path, release: Release) -> None:
        bundle = open_bundle(file, content_key=self._content_key(file, release))
        if bundle.id != release.bundle_id or bundle.manifest.name != release.model:
            raise TrustError(
                f"{file.name} holds bundle {bundle.id[:12]} of model {bundle.manifest.name!r}, "
                f"promised was {release.bundle_id[:12]} of {release.model!r}",
                hint="ask the fleet's admin",
            )
        self._tools.trust.check_file(bundle, release, wall_s=self._tools.clock.wall_s())
        self._tools.admit(bundle)
        require_hooks_allowed(bundle.manifest, allowed=self._tools.policy.allow_hooks)
        steps_allowed = self._tools.step_hooks is not None
        require_step_hooks_allowed(bundle.manifest, allowed=steps_allowed)

    def _content_key(self, file: Path, release: Release) -> bytes | None:
        """None too when the file is gone: a cut came after the slot was written."""
        tools = self._tools
        if not file.is_file():
            return None
        return tools.content_keys.key_of(file, release, wall_s=tools.clock.wall_s())

    def _file(self, release: Release) -> Path:
        if release.origin == "file":
            return Path(release.path)
        return self._tools.downloads / f"{release.file_sha256}.ewb"

    def _part(self, release: Release) -> Path:
        return self._tools.downloads / f"{release.file_sha256}.part"


def _require_file(file: Path, sha256: str) -> None:
    with _fs.file_errors(file, doing="reading"), file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != sha256:
        raise TrustError(f"the patch makes {found[:12]}..., promised was {sha256[:12]}...")
