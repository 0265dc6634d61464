"""Learning the motifs of a model's embeddings from recorded windows."""

from pathlib import Path

import numpy as np

from edgewright._fs import read_limited, write_atomic
from edgewright._npz import decode_npz
from edgewright.chain.serving import open_servable
from edgewright.contract import Contract
from edgewright.device.serve.motifs import Learning, Motifs, encode_motifs, learn_motifs
from edgewright.device.serve.ports import Array
from edgewright.errors import InputError
from edgewright.steps import compile_checks

_LIMIT_BYTES = 1 << 30
_ROWS_AT_ONCE = 64
_USUAL = ("latent_embedding", "latent", "embedding", "mu", "features")


def learn_from_file(
    model_path: Path, data: Path, out: Path, *, count: int, output: str = "", seed: int = 0
) -> Motifs:
    """Write the motifs of the windows in `data` (.npz, named like the model's input) to `out`.

    Raises:
        InputError: the windows are out of contract or too few, or no output is an embedding.
    """
    servable = open_servable(model_path)
    try:
        contract = servable.model.contract
        (tensor,) = contract.inputs[:1]
        arrays = decode_npz(read_limited(data, limit_bytes=_LIMIT_BYTES), source=str(data))
        if tensor.name not in arrays or len(contract.inputs) > 1:
            raise InputError(
                f"{data}: no array {tensor.name!r} among {sorted(arrays)}",
                hint="name the windows like the model's one input",
            )
        windows = arrays[tensor.name].astype(tensor.dtype)
        name = output or _embedding_of(contract)
        contract.output(name)
        check = compile_checks(contract)
        found: list[Array] = []
        for at in range(0, len(windows), _ROWS_AT_ONCE):
            part = {tensor.name: windows[at : at + _ROWS_AT_ONCE]}
            check(part)
            rows = servable.model.predict_checked(part)[name]
            found.append(rows.reshape(len(rows), -1))
    finally:
        servable.model.close()
    learning = Learning(count=count, seed=seed, output=name, identity=servable.identity)
    motifs = learn_motifs(np.concatenate(found) if found else np.empty((0, 1)), learning)
    write_atomic(out, encode_motifs(motifs))
    return motifs


def _embedding_of(contract: Contract) -> str:
    names = [tensor.name for tensor in contract.outputs]
    usual = [name for name in _USUAL if name in names]
    if usual:
        return usual[0]
    if len(names) == 1:
        return names[0]
    raise InputError(f"which of the outputs {names} is the embedding?", hint="give --output NAME")
