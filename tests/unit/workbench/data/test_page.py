import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from edgewright.workbench.data import Dataset, Recording, check_dataset, data_page, grouped


class _Parser(HTMLParser):
    """Remembers what is open, and every tag and address that a page names."""

    VOID = frozenset({"meta", "line", "rect", "polyline", "circle"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.labels: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        facts = dict(attrs)
        assert not {"src", "href"} & facts.keys()
        if tag == "svg":
            self.labels.append(facts["aria-label"] or "")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parse(page: str) -> _Parser:
    parser = _Parser()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def broken(dataset: Dataset) -> Dataset:
    first, second, *rest = dataset.recordings
    samples = first.samples.copy()
    samples[50:90, 1] = np.nan
    samples[200, 0] = 1e9
    still = second.samples.copy()
    still[100:250, 4] = 0.5
    return replace(
        dataset,
        recordings=(replace(first, samples=samples), replace(second, samples=still), *rest),
        source="<b>walk</b>",
    )


def test_a_page_stands_alone_and_shows_what_was_found(dataset: Dataset) -> None:
    wrong = broken(dataset)
    page = data_page(wrong, check_dataset(wrong))
    parsed = parse(page)
    assert "script" not in parsed.tags
    assert "http" not in page
    assert "&lt;b&gt;walk&lt;/b&gt;" in page
    assert "<b>walk" not in page
    for what in ("not-finite", "huge", "flat", "40 samples are NaN"):
        assert what in page
    assert [label for label in parsed.labels if "1e+06" in label or "NaN" in label]
    assert not re.search(r'="[^"]*\bnan\b', page)


def test_a_page_of_good_data_says_so(dataset: Dataset) -> None:
    page = data_page(dataset, check_dataset(dataset))
    assert "Nothing was found." in page
    labels = parse(page).labels
    assert "Median acceleration of calm seconds of 5 people; expected 1" in labels
    assert len([label for label in labels if label.startswith("Histogram")]) == 6


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_a_page_can_be_drawn_of_anything(dataset: Dataset, value: float) -> None:
    samples = np.full((3, 6), value, np.float32)
    one = Recording(samples, np.full(3, -1, np.int16), "ann", "a", 50.0)
    odd = replace(dataset, recordings=(one,))
    parse(data_page(odd, check_dataset(odd)))


def test_findings_are_grouped_gravest_first(dataset: Dataset) -> None:
    found = check_dataset(broken(dataset)).findings
    groups = grouped(found * 3, most=2)
    assert [group.severity for group in groups] == ["error", "error", "warning"]
    assert [(len(group.shown), group.more) for group in groups] == [(2, 1)] * 3
