"""All models of a server: load beside, try, switch, drain. No request meets a gap."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import msgspec

from edgewright.device.serve.passes import Resources
from edgewright.device.serve.ports import OpenModel, Servable
from edgewright.device.serve.refusal import RefusalError
from edgewright.device.serve.serving import Admission, ServedModel
from edgewright.device.serve.trial import try_model
from edgewright.device.serve.workers import Loader
from edgewright.errors import EdgewrightError

logger = logging.getLogger(__name__)


class Models:
    """The models that are served now, by name and version; the newest version of a name is the
    one that answers when a client names none.
    """

    def __init__(
        self, open_model: OpenModel, *, admission: Admission, resources: Resources
    ) -> None:
        self._open_model = open_model
        self._admission = admission
        self._resources = resources
        self._loader = Loader()
        self._lock = asyncio.Lock()
        self._current: dict[str, ServedModel] = {}
        self._versions: dict[str, dict[str, ServedModel]] = {}
        self._sources: dict[str, Path] = {}
        self._faults: dict[str, str] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self.swaps = 0

    def __iter__(self) -> Iterator[ServedModel]:
        for versions in self._versions.values():
            yield from versions.values()

    @property
    def is_ready(self) -> bool:
        """Whether there is a model, and every one asked for answers."""
        return bool(self._current) and not self._faults.keys() - self._current.keys()

    @property
    def faults(self) -> dict[str, str]:
        """Why the last load of a name failed, where it did."""
        return dict(self._faults)

    def find(self, name: str, version: str | None = None) -> ServedModel:
        """The model that answers for a name.

        Raises:
            RefusalError: there is none.
        """
        model = (
            self._current.get(name)
            if version is None
            else self._versions.get(name, {}).get(version)
        )
        if model is None:
            raise self._unknown(name, version)
        return model

    def only(self) -> ServedModel:
        """The one model that routes without a name mean: the first that was loaded.

        Raises:
            RefusalError: there is none.
        """
        for model in self._current.values():
            return model
        raise RefusalError(503, "no model is loaded", reason="no_model", retry_after_s=1)

    def versions(self, name: str) -> tuple[str, ...]:
        """The versions of a name that are served."""
        return tuple(self._versions.get(name, {}))

    async def load(self, path: Path, *, name: str | None = None, keep: bool = False) -> ServedModel:
        """Serve the model of this path. It replaces all versions of its name, unless told to keep
        them; until it has passed its trial the old one answers.

        Raises:
            EdgewrightError: it cannot be opened, or failed its trial; nothing has changed.
        """
        async with self._lock:
            try:
                model = await self._opened(path, name)
            except EdgewrightError as error:
                self._faults[name or path.stem] = str(error)
                raise
            self._faults.pop(model.name, None)
            self._switch(model, keep=keep)
            self._sources[model.name] = path
        return model

    async def reload(self, name: str) -> ServedModel:
        """Load a name again from where it came.

        Raises:
            RefusalError: it was never loaded.
        """
        if name not in self._sources:
            raise self._unknown(name, None)
        return await self.load(self._sources[name], name=name)

    async def unload(self, name: str) -> None:
        """Serve nothing under this name.

        Raises:
            RefusalError: nothing is.
        """
        async with self._lock:
            if name not in self._current:
                raise self._unknown(name, None)
            del self._current[name]
            for model in self._versions.pop(name).values():
                self._retire(model)

    async def close(self) -> None:
        """Unload everything, once what runs has ended."""
        for name in list(self._current):
            await self.unload(name)
        if self._closing:
            await asyncio.wait(self._closing)
        self._loader.close()

    async def _opened(self, path: Path, name: str | None) -> ServedModel:
        servable = await self._loader(lambda: self._open_model(path))
        if name is not None:
            servable = msgspec.structs.replace(servable, name=name)
        try:
            plan = await self._loader(lambda: try_model(servable, self._resources.timer))
        except EdgewrightError:
            servable.model.close()
            raise
        logger.info("model ready: name=%s version=%s", servable.name, servable.version)
        return ServedModel(servable, plan, admission=self._admission, resources=self._resources)

    def _switch(self, model: ServedModel, *, keep: bool) -> None:
        versions = self._versions.setdefault(model.name, {})
        replaced = [old for old in versions.values() if not keep or old.version == model.version]
        for old in replaced:
            del versions[old.version]
        versions[model.version] = model
        self._current[model.name] = model
        self.swaps += bool(replaced)
        for old in replaced:
            self._retire(old)

    def _retire(self, model: ServedModel) -> None:
        """Close a model when its last request is answered."""
        model.queue.when_idle(lambda: self._close_later(model.servable))

    def _close_later(self, servable: Servable) -> None:
        async def close() -> None:
            await self._loader(servable.model.close)

        task = asyncio.get_running_loop().create_task(close(), name=f"close {servable.name}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _unknown(self, name: str, version: str | None) -> RefusalError:
        what = f"model {name!r}" + (f" version {version!r}" if version is not None else "")
        if not self._current:
            return RefusalError(
                503, f"{what} is not loaded, no model is", reason="no_model", retry_after_s=1
            )
        return RefusalError(
            404, f"{what} is unknown; there are {sorted(self._current)}", reason="unknown_model"
        )
