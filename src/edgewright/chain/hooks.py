"""A bundle's hooks around its model: what comes in goes through the one, what goes out through the
other, each in a confined process of its own.
"""

import sys
import time
from collections.abc import Callable, Mapping

from edgewright.bundle import Bundle
from edgewright.bundle.hooks import HookKind, hook_blobs
from edgewright.contract import Contract
from edgewright.device.hooks import HookProcess
from edgewright.errors import DeviceError, InputError
from edgewright.runtimes.base import Array, Session
from edgewright.runtimes.model import LoadedModel
from edgewright.steps import compile_checks

HOOK_COMMAND = (sys.executable, "-P", "-m", "edgewright.chain.hook_child")

Hooks = Mapping[HookKind, HookProcess]


class HookedModel(LoadedModel):
    """A model between its hooks; the contract holds before, between and after them."""

    def __init__(self, contract: Contract, session: Session, hooks: Hooks) -> None:
        super().__init__(contract, session)
        self._hooks = hooks
        answers = Contract(inputs=contract.outputs, outputs=contract.outputs)
        self._check_answer = compile_checks(answers)

    def predict_checked(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """The same as of any model.

        Raises:
            InputError: a hook refuses the request.
            DeviceError: a hook failed, or its answer is out of contract.
        """
        if hook := self._hooks.get("preprocess"):
            arrays = _asked(hook, arrays, self._check)
        outputs = super().predict_checked(arrays)
        if hook := self._hooks.get("postprocess"):
            outputs = _asked(hook, outputs, self._check_answer)
        return outputs

    def close(self) -> None:
        """Let go of the engine and end the hooks."""
        for hook in self._hooks.values():
            hook.close()
        super().close()


def with_hooks(
    contract: Contract, session: Session, sources: Mapping[HookKind, bytes]
) -> LoadedModel:
    """The model of a session, between its hooks where there are any.

    Raises:
        DeviceError: a hook cannot be loaded here.
    """
    if not sources:
        return LoadedModel(contract, session)
    hooks: dict[HookKind, HookProcess] = {}
    try:
        for kind, source in sources.items():
            tensors = contract.inputs if kind == "preprocess" else contract.outputs
            hooks[kind] = HookProcess(
                kind, source, tensors, command=HOOK_COMMAND, timer=time.perf_counter
            )
            hooks[kind].start()
    except BaseException:
        for hook in hooks.values():
            hook.close()
        session.close()
        raise
    return HookedModel(contract, session, hooks)


def hook_sources(bundle: Bundle) -> dict[HookKind, bytes]:
    """The sources of a bundle's hooks, each checked against its hash."""
    return {kind: bundle.read(blob) for kind, blob in hook_blobs(bundle.manifest).items()}


def _asked(
    hook: HookProcess, arrays: Mapping[str, Array], check: Callable[[Mapping[str, Array]], None]
) -> dict[str, Array]:
    answer = hook.call(arrays)
    try:
        check(answer)
    except InputError as error:
        raise DeviceError(f"{hook.kind}.py answers out of contract: {error}") from error
    return answer
