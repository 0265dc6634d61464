"""The result of a search, version 1. Outside checks read it: fields are added, never changed."""

from typing import Literal

import msgspec

from edgewright.measure import Machine

SCHEMA_VERSION = 1

Verdict = Literal["chosen", "baseline", "fits", "rejected", "failed", "unavailable"]


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One variant that was tried. Everything that was not measured is None and `reason` says why.

    `metric` and its drop are in points and come from `split`; `latency_ratio` is p50 over the p50
    of fp32 from interleaved rounds; `metric_drop_upper` is the one-sided 95 % bound.
    `memory_bytes` is the peak of a process of its own that loads and runs the file, interpreter and
    engine included; `packed_bytes` is the file after zstd, what a transfer carries, and
    `huffman_bytes` after a Huffman code of its bytes alone; `placement` is where the engine says
    that it ran.
    """

    format: str
    recipe: str
    size_bytes: int | None = None
    metric: float | None = None
    metric_drop: float | None = None
    metric_drop_upper: float | None = None
    latency_ratio: float | None = None
    verdict: Verdict
    reason: str
    split: Literal["select", "confirm", ""] = ""
    latency_ms: float | None = None
    latency_ratio_low: float | None = None
    latency_ratio_high: float | None = None
    latency_rounds: int = 0
    energy_ratio: float | None = None
    energy_ratio_low: float | None = None
    energy_ratio_high: float | None = None
    memory_bytes: int | None = None
    packed_bytes: int | None = None
    huffman_bytes: int | None = None
    placement: str = ""
    rows: int = 0


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """How the evaluation data was divided."""

    by: Literal["group", "rows"]
    select_rows: int
    confirm_rows: int
    select_groups: tuple[str, ...] = ()
    confirm_groups: tuple[str, ...] = ()


class OptimizeReport(msgspec.Struct, frozen=True, kw_only=True):
    """All candidates with their verdicts, and the chosen one again as `best`.

    `machine` judged the accuracy. Latency, energy and memory were measured there too, unless
    `measured_on` is the address of another, `measured_machine`.
    """

    model: str
    model_sha256: str
    best: Candidate
    best_file: str
    candidates: tuple[Candidate, ...]
    verdict: str
    metric: str
    max_drop: float
    objective: str
    target: str | None
    seed: int
    threads: int
    split: Split
    bound: str
    machine: Machine
    measured_on: str = ""
    measured_machine: Machine | None = None
    search_cpu_s: float
    notes: tuple[str, ...] = ()
    weights_file: str = ""
    schema_version: int = SCHEMA_VERSION
