"""Which model answers for a name: the newest version, or several that share its requests by weight,
with shadows compared beside them. Nothing here waits, loads or closes.
"""

from collections.abc import Callable, Container, Iterator, Mapping

import msgspec

from edgewright.device.serve.refusal import RefusalError, refusal_of
from edgewright.device.serve.serving import ServedModel
from edgewright.device.serve.shadow import Shadow, is_compatible, mirror_to
from edgewright.device.serve.splits import ReadParameters, Shares, answering, check_order
from edgewright.errors import InputError
from edgewright.wire.admin import SplitFigures, SplitOrder, VersionFigures

_NO_ORDER = SplitOrder()


class Newest:
    """Where the one model that answers for a name is found; kept by whoever asks for it often.
    Nothing is there while several versions share the name's requests.
    """

    __slots__ = ("model",)

    def __init__(self) -> None:
        self.model: ServedModel | None = None


class Directory:
    """The versions of every name, and who of them answers."""

    def __init__(
        self,
        orders: Mapping[str, SplitOrder],
        *,
        draw: Callable[[], float],
        let_go: Callable[[Shadow], None],
    ) -> None:
        self.current: dict[str, ServedModel] = {}
        """By name the model that answers, or the one of them that answers most."""
        self._orders = dict(orders)
        self._draw = draw
        self._let_go = let_go
        self._versions: dict[str, dict[str, ServedModel]] = {}
        self._newest: dict[str, Newest] = {}
        self._shares: dict[str, Shares] = {}
        self._weights: dict[str, dict[str, float]] = {}
        self._shadows: dict[str, dict[str, Shadow]] = {}

    def __iter__(self) -> Iterator[ServedModel]:
        for versions in self._versions.values():
            yield from versions.values()

    def __contains__(self, name: str) -> bool:
        return name in self._versions

    @property
    def names(self) -> tuple[str, ...]:
        """Of all that is loaded."""
        return tuple(self._versions)

    def versions(self, name: str) -> dict[str, ServedModel]:
        """The versions of a name, in the order of their loading."""
        return dict(self._versions.get(name, {}))

    def find(self, name: str, version: str | None = None) -> ServedModel:
        """The model of a name.

        Raises:
            RefusalError: there is none.
        """
        if version is None:
            model = self.current.get(name)
        else:
            model = self._versions.get(name, {}).get(version)
        if model is None:
            raise self.unknown(name, version)
        return model

    def choose(
        self,
        name: str,
        version: str | None,
        headers: Mapping[str, str],
        parameters: ReadParameters = dict,
    ) -> ServedModel:
        """The model that answers this request for a name.

        Raises:
            RefusalError: there is none, or the request's key is none.
        """
        shares = self._shares.get(name) if version is None else None
        if shares is None:
            return self.find(name, version)
        try:
            chosen = shares.version(headers, parameters)
        except InputError as error:
            raise refusal_of(error) from error
        return self._versions[name][chosen]

    def newest(self, name: str) -> Newest:
        """Where the one model of a name is found, now and after it was replaced."""
        newest = self._newest.get(name)
        if newest is None:
            newest = self._newest[name] = Newest()
            newest.model = None if name in self._shares else self.current.get(name)
        return newest

    def is_shared(self, name: str) -> bool:
        """Whether an order says who answers for a name."""
        return name in self._orders

    def add(self, model: ServedModel, *, keep: bool) -> list[ServedModel]:
        """A version more, or instead of all others; returns those that it replaced."""
        versions = self._versions.setdefault(model.name, {})
        replaced = [old for old in versions.values() if not keep or old.version == model.version]
        if replaced and not keep:
            self._orders.pop(model.name, None)
        for old in replaced:
            del versions[old.version]
        versions[model.version] = model
        self._direct(model.name)
        return replaced

    def put(self, name: str, model: ServedModel) -> None:
        """Let this one alone answer for a name; whoever did is somebody else's business."""
        self._versions[name] = {model.version: model}
        self._direct(name)

    def remove(self, name: str) -> list[ServedModel]:
        """Forget a name; returns its versions."""
        self._orders.pop(name, None)
        self._end_shadows(name)
        self._answer_with(name, {})
        return list(self._versions.pop(name).values())

    def remove_version(self, name: str, version: str) -> ServedModel:
        """Forget a version that nobody is sent to.

        Raises:
            RefusalError: there is none, or it answers or is compared.
        """
        model = self.find(name, version)
        order = self.order(name)
        if version in (*order.weights, *order.shadows) or self.current.get(name) is model:
            raise RefusalError(
                409,
                f"model {name!r} version {version!r} answers or is compared; leave it out of the "
                "split first",
                reason="in_use",
            )
        return self._versions[name].pop(version)

    def arrange(self, name: str, order: SplitOrder) -> None:
        """Let versions of a name share its requests, and others be compared with them.

        Raises:
            RefusalError: no such model, or the versions do not take and give the same.
            InputError: the order does not fit the versions.
        """
        versions = self._versions.get(name)
        if versions is None:
            raise self.unknown(name, None)
        self._check(name, order)
        if order.weights or order.shadows:
            self._orders[name] = order
        else:
            self._orders.pop(name, None)
        self._direct(name)

    def order(self, name: str) -> SplitOrder:
        """How the versions of a name share its requests; the empty order where none was given."""
        return self._orders.get(name, _NO_ORDER)

    def check_all(self) -> None:
        """Whether every order that was given before the models fits them.

        Raises:
            RefusalError, InputError: as `arrange`.
        """
        for name, order in self._orders.items():
            self._check(name, order)

    def check_newcomer(self, model: ServedModel) -> None:
        """Whether a version fits those that it will share requests with, or be compared with.

        Raises:
            RefusalError: it does not take and give the same.
        """
        order = self.order(model.name)
        members = (*order.weights, *order.shadows)
        if model.version in members:
            for other in self._versions.get(model.name, {}).values():
                if other.version in members:
                    _check_compatible(other, model)

    def weight(self, model: ServedModel) -> float:
        """A version's share of its name's requests, in the unit of the order's weights."""
        return self._weights.get(model.name, {}).get(model.version, 0.0)

    def shadow(self, model: ServedModel) -> Shadow | None:
        """What was compared, where this version is a shadow."""
        return self._shadows.get(model.name, {}).get(model.version)

    def split(self, name: str) -> SplitFigures:
        """How the versions of a name share its requests.

        Raises:
            RefusalError: there is no such model.
        """
        if name not in self._versions:
            raise self.unknown(name, None)
        order = self.order(name)
        return SplitFigures(
            name=name,
            header=order.header,
            parameter=order.parameter,
            versions=tuple(self._figures(model) for model in self._versions[name].values()),
        )

    def unknown(self, name: str, version: str | None) -> RefusalError:
        """Why a name finds nothing."""
        what = f"model {name!r}" + (f" version {version!r}" if version is not None else "")
        if not self.current:
            return RefusalError(
                503, f"{what} is not loaded, no model is", reason="no_model", retry_after_s=1
            )
        known = sorted(self._versions.get(name, self.current))
        return RefusalError(404, f"{what} is unknown; there are {known}", reason="unknown_model")

    def _direct(self, name: str) -> None:
        """Send a name's requests to whom its order says, else to its latest version."""
        versions, order = self._versions[name], self._orders.get(name)
        wanted = () if order is None else order.shadows
        kept = {
            version: shadow
            for version, shadow in self._shadows.get(name, {}).items()
            if version in wanted and versions.get(version) is shadow.model
        }
        self._end_shadows(name, kept)
        self._answer_with(name, answering(order, tuple(versions)))
        if order is None:
            return
        found = [versions[version] for version in order.shadows if version in versions]
        shadows = {model.version: kept.get(model.version) or Shadow(model) for model in found}
        self._shadows[name] = shadows
        for version in self._weights[name]:
            versions[version].queue.mirror = mirror_to(tuple(shadows.values()))

    def _answer_with(self, name: str, weights: dict[str, float]) -> None:
        newest = self.newest(name)
        self._weights[name] = weights
        self._shares.pop(name, None)
        newest.model = None
        if not weights:
            self.current.pop(name, None)
            return
        most = max(weights, key=lambda version: weights[version])
        self.current[name] = self._versions[name][most]
        if len(weights) == 1:
            newest.model = self.current[name]
        else:
            self._shares[name] = Shares(name, weights, self._orders[name], draw=self._draw)

    def _end_shadows(self, name: str, kept: Container[str] = ()) -> None:
        shadows = self._shadows.pop(name, {})
        if shadows:
            for model in self._versions[name].values():
                model.queue.mirror = None
        for version, shadow in shadows.items():
            if version not in kept:
                self._let_go(shadow)

    def _check(self, name: str, order: SplitOrder) -> None:
        versions = self._versions.get(name, {})
        check_order(name, order, versions)
        members = [versions[each] for each in (*order.weights, *order.shadows)]
        for member in members:
            _check_compatible(members[0], member)
        if order.shadows:
            for version in answering(order, tuple(versions)):
                _check_compatible(versions[version], members[0])

    def _figures(self, model: ServedModel) -> VersionFigures:
        tally, shadow = model.queue.tally, self.shadow(model)
        figures = VersionFigures(
            version=model.version,
            weight=self.weight(model),
            answered=tally.answered,
            failed=dict(tally.failed),
            latency_ms=tally.quantiles_ms(),
        )
        if shadow is None:
            return figures
        return msgspec.structs.replace(
            figures,
            is_shadow=True,
            compared=shadow.comparing.rows,
            agreed=shadow.comparing.agreed_rows,
            shadow_failed=dict(shadow.failed),
            skipped=shadow.comparing.skipped,
        )


def _check_compatible(model: ServedModel, other: ServedModel) -> None:
    if not is_compatible(model.contract, other.contract):
        raise RefusalError(
            409,
            f"versions {model.version!r} and {other.version!r} of model {model.name!r} do not "
            "take and give the same tensors",
            reason="incompatible",
        )
