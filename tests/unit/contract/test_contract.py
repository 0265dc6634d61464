import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.contract import (
    Channel,
    Contract,
    Labels,
    Nms,
    Normalise,
    Resize,
    Step,
    Tensor,
    Window,
    decode_json,
    decode_toml,
    encode_json,
)
from edgewright.errors import InputError

X = Tensor(name="x", dtype="float32", shape=("batch", 3))
Y = Tensor(name="y", dtype="float32", shape=("batch", 2))

TOML = b"""
labels = ["walk", "sit"]
rate_hz = 50

[[inputs]]
name = "x"
dtype = "float32"
shape = ["batch", 100, 2]
channels = [{ name = "acc_x", unit = "m/s2", low = -500, high = 500 }, { name = "acc_y" }]

[[outputs]]
name = "activity"
dtype = "string"
shape = ["batch"]

[[preprocess]]
step = "window"
tensor = "x"
length = 100
hop = 50

[[postprocess]]
step = "labels"
tensor = "activity"

[budgets]
latency_p95_ms = 50
"""


def test_contract_survives_toml_and_json() -> None:
    contract = decode_toml(TOML, Contract, source="contract.toml")
    assert contract.preprocess == (Window(tensor="x", length=100, hop=50),)
    assert contract.input("x").channels[0] == Channel(name="acc_x", unit="m/s2", low=-500, high=500)
    assert decode_json(encode_json(contract), Contract, source="again") == contract


def test_json_text_has_sorted_keys_and_one_form() -> None:
    text = encode_json(Contract(inputs=(X,), outputs=(Y,)))
    assert text.index(b'"budgets"') < text.index(b'"inputs"') < text.index(b'"outputs"')
    assert text.endswith(b"}\n")


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        (b"lables = []", "unknown key 'lables'; did you mean 'labels'"),
        (b"[budgets]\nlatency_p95 = 3", "'budgets.latency_p95'; did you mean 'latency_p95_ms'"),
        (
            b"preprocess = [{step='window', tensor='x', lenght=3}]",
            r"'preprocess\[0\].lenght'; did you mean 'length'",
        ),
        (b"inputs = [{name='x', dtyp='int8'}]", r"'inputs\[0\].dtyp'; did you mean 'dtype'"),
        (b"zzz = 1", "unknown key 'zzz'; known: budgets, "),
        (b"rate_hz = 'fast'", "expected `float | null`, got `str` at 'rate_hz'"),
        (b"inputs = []\noutputs = []", "at least one input and one output"),
        (b"labels = 'walk", "not valid TOML"),
        (b"\xff", "not valid TOML"),
        (b"schema_version = 2\ninputs = []\noutputs = []", "this edgewright reads 1"),
    ],
)
def test_wrong_toml_says_where_and_what_was_meant(toml: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        decode_toml(toml, Contract, source="contract.toml")
    assert str(caught.value).startswith("contract.toml: ")


@pytest.mark.parametrize("content", [b"{", b"\xff\xff", b"[" * 100_000])
def test_wrong_json_is_an_input_error(content: bytes) -> None:
    with pytest.raises(InputError, match="not valid JSON"):
        decode_json(content, Contract, source="x.json")


def test_unknown_key_inside_a_map_names_the_fields_of_its_values() -> None:
    class Inner(msgspec.Struct, forbid_unknown_fields=True):
        size: int = 0

    class Outer(msgspec.Struct, forbid_unknown_fields=True):
        parts: dict[str, Inner] = {}

    with pytest.raises(InputError, match="did you mean 'size'"):
        decode_toml(b"[parts.a]\nsiez = 1", Outer, source="x")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Tensor(name="", dtype="int8", shape=()), "needs a name"),
        (lambda: Tensor(name="x", dtype="int8", shape=(0,)), "must be 1 or more"),
        (
            lambda: Tensor(name="x", dtype="int8", shape=(2,), channels=(Channel(name="a"),)),
            "1 channels do not fit",
        ),
        (lambda: Channel(name="a", low=2, high=1), "not below high"),
        (lambda: Window(tensor="x", length=0, hop=1), "length is 0"),
        (lambda: Resize(tensor="x", height=2, width=-1), "width is -1"),
        (lambda: Normalise(tensor="x", mean=(0.0,), std=()), "do not belong together"),
        (lambda: Normalise(tensor="x", mean=(0.0,), std=(0.0,)), "above 0"),
        (lambda: Nms(tensor="x", scores="s", iou=2), "at most 1"),
        (lambda: Contract(inputs=(X,), outputs=()), "at least one"),
        (lambda: Contract(inputs=(X, X), outputs=(Y,)), "not unique"),
        (
            lambda: Contract(inputs=(X,), outputs=(Y,), postprocess=(Labels(tensor="y"),)),
            "lists no labels",
        ),
    ],
)
def test_values_that_make_no_sense_are_refused(make: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()  # type: ignore[operator]


def test_named_dimension_fits_any_number_of_rows() -> None:
    assert X.fits((1, 3))
    assert X.fits((64, 3))
    assert not X.fits((0, 3))
    assert not X.fits((1, 4))
    assert not X.fits((3,))
    assert X.has_batch
    assert not Tensor(name="z", dtype="int8", shape=(1, 3)).has_batch


def test_asking_for_an_unknown_tensor_lists_the_known_ones() -> None:
    contract = Contract(inputs=(X,), outputs=(Y,))
    assert contract.output("y") is Y
    with pytest.raises(InputError, match=r"output 'q' is not in the contract; it has \['y'\]"):
        contract.output("q")


@given(
    st.builds(
        Window,
        tensor=st.text(min_size=1),
        into=st.text(),
        length=st.integers(1, 10**6),
        hop=st.integers(1, 10**6),
    )
)
def test_step_survives_json_with_its_kind(step: Step) -> None:
    assert msgspec.json.decode(msgspec.json.encode(step), type=Step) == step
    assert step.target == (step.into or step.tensor)
