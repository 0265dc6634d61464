"""The check at the door: whether arrays are what a contract says, with an error that names the
field.

`compile_checks` reads the contract once and gives a function that accepts a good request in about a
microsecond; only an array that was not accepted at once is looked at closely.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np

from edgewright.contract import Contract, Tensor
from edgewright.errors import DeviceError, InputError
from edgewright.steps.arrays import Array

Check = Callable[[Mapping[str, Array]], None]
Accepts = Callable[[Array], bool]

_LIST_SIZE = 32
"""Up to so many elements a Python list is quicker to look through than an array."""

_SPREAD_SIZE = 1 << 16
"""Up to so many elements a row's limits are kept spread out."""


def check_inputs(contract: Contract, arrays: Mapping[str, Array]) -> None:
    """Refuse a request that is out of contract.

    Raises:
        InputError: an input is missing or superfluous, of the wrong type or shape, not finite or
            out of range.
    """
    compile_checks(contract)(arrays)


def compile_checks(contract: Contract) -> Check:
    """`check_inputs` for one contract, for whoever checks many requests."""
    names = [tensor.name for tensor in contract.inputs]
    checks = [(tensor.name, _tensor_check(tensor)) for tensor in contract.inputs]
    shares_rows = _shares_rows(contract.inputs)

    def check(arrays: Mapping[str, Array]) -> None:
        if len(arrays) != len(checks):
            raise _wrong_names(names, arrays)
        for name, check_one in checks:
            array = arrays.get(name)
            if array is None:
                raise _wrong_names(names, arrays)
            check_one(array)
        if shares_rows:
            _check_rows(contract.inputs, arrays)

    return check


def select_outputs(contract: Contract, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The contract's outputs among the arrays; named dimensions may be empty (nothing found).

    Raises:
        DeviceError: the model does not give what its contract says.
    """
    outputs: dict[str, Array] = {}
    for tensor in contract.outputs:
        array = arrays.get(tensor.name)
        if array is None:
            raise DeviceError(
                f"output {tensor.name!r} is missing, the model gave {sorted(arrays)}",
                hint="the contract belongs to another model",
            )
        if not _has_type(array, tensor) or not _has_output_shape(array, tensor):
            raise DeviceError(
                f"output {tensor.name!r} is {array.dtype} {list(array.shape)}, "
                f"expected {tensor.dtype} {list(tensor.shape)}",
                hint="the contract belongs to another model",
            )
        outputs[tensor.name] = array
    return outputs


def compile_outputs(contract: Contract) -> Callable[[Mapping[str, Array]], dict[str, Array]]:
    """`select_outputs` for one contract: arrays that are as promised pass with a look at each."""
    promised = [
        (tensor.name, None if tensor.dtype == "string" else np.dtype(tensor.dtype), tensor.shape)
        for tensor in contract.outputs
    ]

    def select(arrays: Mapping[str, Array]) -> dict[str, Array]:
        outputs: dict[str, Array] = {}
        for name, dtype, shape in promised:
            array = arrays.get(name)
            if array is None or array.dtype is not dtype or len(array.shape) != len(shape):
                return select_outputs(contract, arrays)
            for declared, actual in zip(shape, array.shape, strict=True):
                if actual != declared and not isinstance(declared, str):
                    return select_outputs(contract, arrays)
            outputs[name] = array
        return outputs

    return select


def _wrong_names(names: list[str], arrays: Mapping[str, Array]) -> InputError:
    missing = [name for name in names if name not in arrays]
    superfluous = sorted(set(arrays) - set(names))
    what = f"input {missing[0]!r} is missing" if missing else f"input {superfluous[0]!r} is unknown"
    return InputError(what, hint=f"the contract takes {names}, got {sorted(arrays)}")


def _tensor_check(tensor: Tensor) -> Callable[[Array], None]:
    accepts = compile_values(tensor)
    dtype = None if tensor.dtype == "string" else np.dtype(tensor.dtype)
    shape_fits = _shape_check(tensor)

    def check(array: Array) -> None:
        if array.dtype is not dtype and not _has_type(array, tensor):
            raise InputError(
                f"input {tensor.name!r} is {array.dtype}, expected {tensor.dtype}",
                hint="send the type that the contract declares",
            )
        if not shape_fits(array.shape):
            raise InputError(
                f"input {tensor.name!r} has shape {list(array.shape)}, "
                f"expected {list(tensor.shape)}",
                hint="a named dimension takes any size from 1",
            )
        if not accepts(array):
            _explain(array, tensor)

    return check


def _shape_check(tensor: Tensor) -> Callable[[tuple[int, ...]], bool]:
    """`Tensor.fits`, quicker for the usual case of a named first dimension before fixed ones."""
    tail = tensor.shape[1:]
    if not tensor.has_batch or any(isinstance(size, str) for size in tail):
        return tensor.fits
    return lambda shape: shape[1:] == tail and bool(shape) and shape[0] >= 1


def _has_type(array: Array, tensor: Tensor) -> bool:
    if tensor.dtype == "string":
        return array.dtype.kind in "OSU"
    return bool(array.dtype == np.dtype(tensor.dtype))


def _has_output_shape(array: Array, tensor: Tensor) -> bool:
    return array.ndim == len(tensor.shape) and all(
        isinstance(declared, str) or actual == declared
        for actual, declared in zip(array.shape, tensor.shape, strict=True)
    )


def _limits(tensor: Tensor) -> tuple[Array, Array]:
    """Lowest and highest value of every position of the last axis (one position when channels say
    nothing), in the tensor's own precision, so that a float32 0.7 keeps a limit of 0.7. Without a
    declared limit the type's own finite range holds.
    """
    kind = np.dtype(tensor.dtype)
    floats = kind if kind.kind == "f" else np.dtype(np.float64)
    type_high = float(np.finfo(kind).max) if kind.kind == "f" else math.inf
    low = -type_high if tensor.low is None else max(tensor.low, -type_high)
    high = type_high if tensor.high is None else min(tensor.high, type_high)
    channels = tensor.channels or (None,)
    lows = [low if c is None or c.low is None else max(c.low, low) for c in channels]
    highs = [high if c is None or c.high is None else min(c.high, high) for c in channels]
    return np.array(lows, floats), np.array(highs, floats)


def compile_values(tensor: Tensor) -> Accepts:
    """Whether the values of an array of this type and shape are in contract beyond doubt; the door
    says what is wrong with one that is not accepted.
    """
    if tensor.dtype == "bool":
        return _accept_bools
    if tensor.dtype == "string":
        return _accept_all
    lows, highs = _limits(tensor)
    if np.isinf(lows).all() and np.isinf(highs).all():
        return _accept_all
    if (lows != lows[0]).any() or (highs != highs[0]).any():
        return _channel_check(tensor, lows, highs)
    return _range_check(tensor, float(lows[0]), float(highs[0]))


def _accept_all(_: Array) -> bool:
    return True


def _accept_bools(array: Array) -> bool:
    """Bytes from outside may be anything; what 2 means differs between engines."""
    return bool(array.view(np.uint8).max(initial=0) <= 1)


def _range_check(tensor: Tensor, low: float, high: float) -> Accepts:
    is_float = tensor.dtype.startswith("float")
    is_unlimited = is_float and tensor.low is None and tensor.high is None and not tensor.channels
    minimum, maximum, isfinite = np.minimum.reduce, np.maximum.reduce, math.isfinite

    def accepts(array: Array) -> bool:
        flat = array.ravel()
        if flat.size > _LIST_SIZE:
            # Both reductions pass a NaN on, and no comparison with NaN holds.
            return bool(low <= minimum(flat) and maximum(flat) <= high)
        values: list[float] = flat.tolist()
        # A sum is finite only if no value is NaN or infinite; sorting is sound then.
        if is_float and not isfinite(sum(values)):
            return False
        if is_unlimited:
            return True
        values.sort()
        return low <= values[0] and values[-1] <= high

    return accepts


def _channel_check(tensor: Tensor, lows: Array, highs: Array) -> Accepts:
    tail = [size for size in tensor.shape[1:] if isinstance(size, int)]
    if len(tail) == len(tensor.shape) - 1 and math.prod(tail) <= _SPREAD_SIZE:
        # Limits spread over a whole row spare numpy the loop over short last axes.
        lows, highs = np.tile(lows, (*tail[:-1], 1)), np.tile(highs, (*tail[:-1], 1))
    count = np.count_nonzero
    return lambda array: bool(
        count(lows <= array) == array.size and count(array <= highs) == array.size
    )


def _explain(array: Array, tensor: Tensor) -> None:
    """Raise for the first value that is out of contract; return when there is none."""
    if tensor.dtype == "bool":
        raise InputError(
            f"input {tensor.name!r} holds a byte that is neither 0 nor 1",
            hint="a BOOL is one byte, 0 or 1",
        )
    lows, highs = _limits(tensor)
    fits = np.asarray((lows <= array) & (array <= highs))
    if fits.all():
        return
    place = tuple(int(at) for at in np.argwhere(~fits)[0])
    value = float(array[place])
    what = f"input {tensor.name!r}{list(place)}"
    unit = tensor.unit
    position = place[-1] if len(lows) > 1 else 0
    if tensor.channels:
        channel = tensor.channels[position]
        what, unit = f"{what} ({channel.name})", channel.unit or unit
    if not math.isfinite(value):
        raise InputError(
            f"{what} is {value}, expected a finite number", hint="mend or drop this sample"
        )
    suffix = f" {unit}" if unit else ""
    raise InputError(
        f"{what} is {value:g}{suffix}, expected {lows[position]:g} to {highs[position]:g}{suffix}",
        hint="check sensor and unit",
    )


def _shares_rows(tensors: tuple[Tensor, ...]) -> bool:
    named = [tensor.shape[0] for tensor in tensors if tensor.has_batch]
    return len(named) != len(set(named))


def _check_rows(tensors: tuple[Tensor, ...], arrays: Mapping[str, Array]) -> None:
    """Inputs whose first dimension has the same name have the same number of rows."""
    sizes: dict[str | int, tuple[int, str]] = {}
    for tensor in tensors:
        if not tensor.has_batch:
            continue
        dimension, rows = tensor.shape[0], arrays[tensor.name].shape[0]
        first, where = sizes.setdefault(dimension, (rows, tensor.name))
        if rows != first:
            raise InputError(
                f"input {tensor.name!r} has {dimension} {rows}, expected {first} "
                f"as in input {where!r}",
                hint="send the same number of rows in every input",
            )
