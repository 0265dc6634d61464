"""The page for people shows what was measured, and no column of what was not."""

import msgspec

from edgewright.measure import describe_machine
from edgewright.workbench.optimize.page import report_page
from edgewright.workbench.optimize.report import Candidate, OptimizeReport, Split

FP32 = Candidate(
    format="onnx", recipe="fp32", verdict="baseline", reason="compared to", metric=90.0,
    metric_drop=0.0, latency_ratio=1.0, size_bytes=4_000, memory_bytes=60_000_000,
)  # fmt: skip
INT8 = Candidate(
    format="litert", recipe="int8 static", verdict="chosen", reason="the best", metric=89.9,
    metric_drop=0.1, latency_ratio=0.5, size_bytes=1_000, memory_bytes=40_000_000,
)  # fmt: skip


def page(*rows: Candidate) -> str:
    return report_page(
        OptimizeReport(
            model="net.onnx",
            model_sha256="0" * 64,
            best=rows[-1],
            best_file="best.tflite",
            candidates=rows,
            verdict="litert int8 static: the best",
            metric="accuracy",
            max_drop=0.5,
            objective="energy",
            target=None,
            seed=0,
            threads=1,
            split=Split(by="rows", select_rows=10, confirm_rows=20),
            bound="one-sided 95 %",
            machine=describe_machine(),
            search_cpu_s=1.0,
        )
    )


def test_energy_has_a_column_and_a_plot_where_it_was_measured() -> None:
    frugal = msgspec.structs.replace(
        INT8, energy_ratio=0.42, energy_ratio_low=0.4, energy_ratio_high=0.451
    )
    text = page(FP32, frugal)
    assert '<th class="n">energy / fp32</th>' in text
    assert "0.420" in text
    assert "0.400 to 0.451" in text
    assert "Accuracy and energy" in text


def test_energy_that_was_not_measured_has_neither() -> None:
    assert "energy / fp32" not in page(FP32, INT8)
    assert "Accuracy and energy" not in page(FP32, INT8)


def test_a_dot_says_which_engine_it_is_of() -> None:
    text = page(FP32, INT8)
    assert "<title>onnx fp32: compared to</title>" in text
    assert "<title>litert int8 static: the best</title>" in text
