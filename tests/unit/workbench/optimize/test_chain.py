import pytest

from edgewright.errors import InputError
from edgewright.workbench.optimize.chain import DEFAULT_CHAINS, parse_chain


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("squeeze=0.5", "unknown step 'squeeze'"),
        ("prune=0.99,distil", "share of 0.05 to 0.9"),
        ("prune,distil", "share of 0.05 to 0.9"),
        ("prune=half,distil", "no number"),
        ("prune=0.5", "after prune comes distil"),
        ("dilate,qat", "after dilate comes distil"),
        ("distil,cluster=16", "put qat before it"),
        ("qat,distil", "in the order"),
        ("distil,distil", "at most once"),
        ("distil,qat,cluster=2", "4 to 128 values"),
        ("distil=1.5", "whole epochs"),
        ("dilate=2,distil", "takes no amount"),
        ("", "unknown step ''"),
    ],
)
def test_a_chain_that_makes_no_sense_is_refused(text: str, word: str) -> None:
    with pytest.raises(InputError, match=word):
        parse_chain(text)


def test_the_default_chain_is_one() -> None:
    assert [parse_chain(text).last.kind for text in DEFAULT_CHAINS] == ["cluster"]


def test_nothing_that_was_only_cut_is_a_product() -> None:
    products = parse_chain("prune=0.3,dilate,distil,qat,sparse=0.75").products
    assert [part.last.kind for part in products] == ["distil", "qat", "sparse"]
