"""Figures in the docs and the result files that they were measured in.

A page cites a figure as a link to the file that `bench/_results.py` wrote, with the figure's name
after the #; the number in the link's text must be the file's, rounded as the text shows it:

    an answer takes [3.2 ms](../bench/results/serving.json#latency_p95_ms) at the 95th percentile

`python tools/claims.py` rewrites the numbers of all pages from the files, with as many decimals as
they show; what the sentences around them say is left to a person, so it names the lines.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s#]*bench/results/[^)\s#]+\.json)(?:#([^)\s]+))?\)")
_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")
_FENCE = re.compile(r"^```.*?^```[^\n]*$", re.MULTILINE | re.DOTALL)
_FIGURE = re.compile(r"\d\s?(?:%|(?:[mnµu]?s|[kMG]B|req/s|rps|times)\b)")
_LONG = 10_000
"""From here on thousands are set apart."""
_SAYS_MEASURED = re.compile(r"\bmeasured\b", re.IGNORECASE)


@dataclass(frozen=True)
class Claim:
    """One cited figure."""

    page: Path
    text: str
    file: Path
    key: str


def claims(page: Path) -> Iterator[Claim]:
    """The figures that a page cites, code blocks aside."""
    for text, path, key in _LINK.findall(_prose(page)):
        yield Claim(page, text, (page.parent / path).resolve(), key)


def fault(claim: Claim) -> str:
    """What is wrong with a claim; empty when it holds."""
    where = f"{claim.page.name}: [{claim.text}]"
    if not claim.file.is_file():
        return f"{where} cites {claim.file.name}, which is absent; run its suite with make prove"
    figures = json.loads(claim.file.read_text(encoding="utf-8")).get("figures", {})
    if claim.key not in figures:
        names = ", ".join(sorted(figures)) or "none"
        return f"{where} cites figure {claim.key!r} of {claim.file.name}; there are: {names}"
    if not _says(claim.text, figures[claim.key]):
        return f"{where} should say {figures[claim.key]} as {claim.file.name} does"
    return ""


def uncited(page: Path) -> list[str]:
    """Paragraphs that say something was measured, give a figure and cite no file."""
    return [
        paragraph.strip()
        for paragraph in re.split(r"\n\s*\n", _prose(page))
        if _SAYS_MEASURED.search(paragraph)
        and _FIGURE.search(paragraph)
        and not _LINK.search(paragraph)
    ]


def renewed(page: Path) -> str:
    """The page with every cited number as its file has it; what cannot be renewed stays."""

    def renew(match: re.Match[str]) -> str:
        text, path, key = match.groups()
        claim = Claim(page, text, (page.parent / path).resolve(), key)
        if not claim.file.is_file() or not fault(claim):
            return match.group()
        figure = json.loads(claim.file.read_text(encoding="utf-8"))["figures"].get(key)
        shown = _NUMBER.search(text)
        if figure is None or shown is None or isinstance(figure, bool | str):
            return match.group()
        decimals = len(shown.group().partition(".")[2])
        separator = "," if abs(figure) >= _LONG else ""
        number = f"{Decimal(str(figure)):{separator}.{decimals}f}"
        return match.group().replace(text, text.replace(shown.group(), number), 1)

    return _LINK.sub(renew, page.read_text(encoding="utf-8"))


def _says(text: str, figure: object) -> bool:
    if isinstance(figure, bool | str):
        return str(figure).lower() == text.lower()
    found = _NUMBER.search(text)
    if found is None:
        return False
    shown = Decimal(found.group().replace(",", ""))
    exponent = shown.as_tuple().exponent
    half_step = Decimal(5).scaleb(int(exponent) - 1)
    return abs(Decimal(str(figure)) - shown) <= half_step


def _prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def main() -> None:
    """Renew README.md and docs/."""
    root = Path(__file__).resolve().parents[1]
    for page in sorted([root / "README.md", *(root / "docs").rglob("*.md")]):
        before, after = page.read_text(encoding="utf-8"), renewed(page)
        if after == before:
            continue
        page.write_text(after, encoding="utf-8")
        lines = zip(before.splitlines(), after.splitlines(), strict=True)
        for number, (old, new) in enumerate(lines, start=1):
            if old != new:
                print(f"{page.relative_to(root)}:{number}: {new}")


if __name__ == "__main__":
    main()
