"""The rules of setting up: which ways to get torch are tried in which order, which is accepted,
what makes a finished set-up stale, and what a failed one means for the person in front of it.

Values in, values out; `setup_venv.py` runs what is decided here.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

EVERYDAY_EXTRAS = ("workbench", "fleet", "dev")
UV_REQUIREMENT = "uv>=0.8,<1"
PUBLIC_DATA = "seglearn==1.2.5"
"""Carries the recordings of the first recipe; its own dependencies are not used."""

CHILDREN = {"litert-convert": "litert", "tensorflow-convert": "tensorflow"}
"""Extras whose pins clash with the others', by the name of the environment they get:
`.venv-convert-NAME`.
"""

_ADDED = re.compile(r"^ [+~] ([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)
_PIP_WOULD = re.compile(r"^Would install (.*)$", re.MULTILINE)
_GPU_PACKAGE = re.compile(r"^(nvidia-|cuda-|triton$|pytorch-triton)")

Accepts = Literal["any", "fitting"]


@dataclass(frozen=True)
class Torch:
    """A build of torch that a way would install."""

    version: str
    needs_gpu: bool


@dataclass(frozen=True)
class Way:
    """One way to get torch: tried dry first, then used for the whole installation."""

    name: str
    trial: tuple[str, ...]
    """Arguments of the dry run, after the installer's own."""
    install: tuple[str, ...] = ()
    """Arguments that the real installation gets as well."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Further variables of the dry run."""
    accepts: Accepts = "fitting"


@dataclass(frozen=True)
class Choice:
    """What the trials decided."""

    way: str
    requirement: str
    install: tuple[str, ...]
    note: str


def uv_ways(*, find_links: str, has_gpu: bool) -> tuple[Way, ...]:
    """The ways to get torch with uv, the best first."""
    ways = []
    if find_links:
        local = ("--no-deps", "--no-index", "--find-links", find_links, "torch")
        # Whoever put a wheel there meant it, GPU or not.
        ways.append(Way("find-links", local, accepts="any"))
    ways.append(Way("your configuration", ("torch",)))
    backend = ("--torch-backend", "auto" if has_gpu else "cpu")
    # A closed network answers once; uv would ask four times.
    hasty = {"UV_HTTP_RETRIES": "0", "UV_HTTP_TIMEOUT": "15"}
    ways.append(Way(" ".join(backend), (*backend, "torch"), backend, hasty))
    return tuple(ways)


def pip_ways(*, find_links: str) -> tuple[Way, ...]:
    """The ways to get torch with pip, whose dry run downloads what is not local."""
    if not find_links:
        return ()
    places = [part for place in find_links.split() for part in ("--find-links", place)]
    local = ("--no-deps", "--no-index", *places, "torch")
    return (Way("find-links", local, accepts="any"),)


def resolved_torch(output: str) -> Torch | None:
    """The build of torch in the output of a dry run, uv's or pip's; None if there is none."""
    added = dict(_ADDED.findall(output)) or _added_by_pip(output)
    version = added.get("torch")
    if version is None:
        return None
    return Torch(version, needs_gpu=any(_GPU_PACKAGE.match(name) for name in added))


def choose(ways: Iterable[Way], trial: Callable[[Way], Torch | None], *, has_gpu: bool) -> Choice:
    """The first way whose dry run gives a build that fits this machine, else the plain one."""
    reasons = []
    for way in ways:
        torch = trial(way)
        if torch is None:
            reasons.append(f"{way.name}: none")
        elif way.accepts == "fitting" and torch.needs_gpu and not has_gpu:
            reasons.append(f"{way.name}: only a GPU build, and no GPU is here")
        else:
            return Choice(way.name, f"torch=={torch.version}", way.install, note="")
    tried = f" ({'; '.join(reasons)})" if reasons else ""
    return Choice(
        "plain",
        "torch",
        (),
        note=f"torch: no CPU build was found{tried}, so the standard one comes, on Linux about "
        "3 GB with its GPU packages; a find-links folder with a CPU wheel in pip's configuration "
        "avoids that",
    )


def extras_of(text: str) -> tuple[str, ...]:
    """The extras to install: the everyday ones and those asked for, by comma or space."""
    return tuple(sorted({*EVERYDAY_EXTRAS, *re.split(r"[,\s]+", text.strip())} - {""}))


def unknown_extras(extras: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(extras) - set(known)))


def fingerprint(contents: Sequence[bytes], python: str) -> str:
    """Changes when anything changes that a finished set-up depends on."""
    digest = hashlib.sha256(python.encode())
    for content in contents:
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def is_done(stamp: Mapping[str, object], *, wanted: str, extras: Iterable[str]) -> bool:
    """Whether the stamp of an earlier set-up covers this one; extras add up."""
    installed = stamp.get("extras")
    return (
        stamp.get("fingerprint") == wanted
        and isinstance(installed, list)
        and set(installed).issuperset(extras)
    )


_MEANINGS = {
    "the disk is full: free about 3 GB (packages and their cache) and run the command again": (
        r"No space left on device|os error 28|Errno 28|Disk quota exceeded"
    ),
    "this Python lacks its venv part: on Debian, apt-get install python3-venv": (
        r"ensurepip is not available|No module named ensurepip"
    ),
    "the index's certificate is not trusted here: set pip's `cert` to your authority's file": (
        r"CERTIFICATE_VERIFY_FAILED|UnknownIssuer|invalid peer certificate"
    ),
    "no package index answered: check the network and proxy, or name a reachable index or "
    "find-links folder in pip's configuration, then run the command again": (
        r"dns error|error sending request|Name or service not known|NewConnectionError|"
        r"Temporary failure in name resolution|Connection refused|ConnectTimeout|timed out|"
        r"network was disabled|Network is unreachable"
    ),
    "this user may not write there: fix the owner of the project folder and of the cache": (
        r"Permission denied|os error 13|Errno 13"
    ),
    "the index has no version that constraints.txt allows for this Python and platform: use "
    "Python 3.11 to 3.13, or make new pins with `make pins`": (
        r"No solution found|No matching distribution|ResolutionImpossible"
    ),
}
"""What to do, by a pattern of the installer's words; the first that matches counts."""


def meaning(output: str) -> str:
    """What the person in front of a failed installation can do about it."""
    for advice, pattern in _MEANINGS.items():
        if re.search(pattern, output, re.IGNORECASE):
            return advice
    return "the lines above are the installer's own; run the command again to continue"


def _added_by_pip(output: str) -> dict[str, str]:
    found = _PIP_WOULD.search(output)
    pairs = (entry.rpartition("-") for entry in found.group(1).split()) if found else ()
    return {name: version for name, _, version in pairs}
