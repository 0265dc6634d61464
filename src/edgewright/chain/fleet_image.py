"""The image repository in a fleet's folder, as publishing needs it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from edgewright.chain import trust_repository
from edgewright.clock import Clock
from edgewright.errors import InputError
from edgewright.trust import Signer
from edgewright.trust.release import Words
from edgewright.trust.repository import Lack


class FleetImage:
    """Stages targets in a repository and signs as far as the fleet's own key goes; the rest is its
    keepers'.
    """

    def __init__(self, folder: Path, *, clock: Clock, online: Callable[[], Signer]) -> None:
        self._folder = folder
        self._clock = clock
        self._online = online

    @property
    def is_there(self) -> bool:
        return trust_repository.exists(self._folder)

    def promised(
        self, file: Path, name: str, bundle_id: str, signers: Sequence[Signer]
    ) -> tuple[Lack, ...]:
        wall_s = self._clock.wall_s()
        if self._is_promised(file, name, bundle_id, wall_s):
            return ()
        status = trust_repository.status(self._folder, wall_s=wall_s)
        for signer in (*signers, self._online()):
            wanted = {key_id for lack in status.lacks for key_id in lack.key_ids}
            if status.lacks and signer.public.key_id in wanted:
                status = trust_repository.sign_by(self._folder, signer, wall_s=wall_s)
        return status.lacks

    def _is_promised(self, file: Path, name: str, bundle_id: str, wall_s: float) -> bool:
        """Whether the file is published as a target; it is staged when it is not."""
        sha256 = trust_repository.sha256_of(file)
        promise = trust_repository.promised(self._folder, name)
        if promise.published == sha256:
            return True
        if promise.published:
            raise InputError(
                f"{name} is released as another file already",
                hint="build it again under a new version",
            )
        if promise.staged != sha256:
            words = msgspec.to_builtins(Words(bundle_id=bundle_id))
            trust_repository.add_target(self._folder, file, name=name, wall_s=wall_s, custom=words)
        return False
