"""The Prometheus page of a server."""

from collections.abc import Mapping

from edgewright.device.serve.models import Models
from edgewright.device.serve.serving import ServedModel
from edgewright.device.serve.tally import Exposition


def render_metrics(
    models: Models, *, connections: int, handshakes: int, http_refusals: Mapping[int, int]
) -> bytes:
    """All metrics as text."""
    page = Exposition()
    served = list(models)
    page.head("edgewright_ready", "gauge", "Whether every model answers.")
    page.sample("edgewright_ready", models.is_ready)
    page.head("edgewright_connections", "gauge", "Connected peers.")
    page.sample("edgewright_connections", connections)
    name = "edgewright_tls_handshakes"
    page.head(name, "gauge", "Peers that have not finished their TLS handshake.")
    page.sample(name, handshakes)
    page.head("edgewright_http_refusals_total", "counter", "Requests that were not HTTP we take.")
    for status, count in sorted(http_refusals.items()):
        page.sample("edgewright_http_refusals_total", count, status=str(status))
    page.head("edgewright_model_swaps_total", "counter", "Models replaced while serving.")
    page.sample("edgewright_model_swaps_total", models.swaps)
    page.head("edgewright_model_info", "gauge", "Which models are served; always 1.")
    for model in served:
        page.sample(
            "edgewright_model_info",
            1,
            **_labels(model),
            platform=model.servable.platform,
            identity=model.servable.identity,
            signed=str(model.servable.is_signed).lower(),
        )
    _render_shares(page, models)
    _render_requests(page, served)
    _render_passes(page, served)
    _render_processes(page, served)
    _render_watched(page, served)
    _render_sidecar(page, list(models.directory.current.values()))
    return page.text()


def _render_shares(page: Exposition, models: Models) -> None:
    """Which versions answer, and what was compared in shadow."""
    directory = models.directory
    page.head("edgewright_version_weight", "gauge", "Share of its name's requests; 0 gets none.")
    for model in directory:
        page.sample("edgewright_version_weight", directory.weight(model), **_labels(model))
    shadows = [(_labels(model), directory.shadow(model)) for model in directory]
    found = [(labels, shadow) for labels, shadow in shadows if shadow is not None]
    name = "edgewright_shadow_rows_total"
    page.head(name, "counter", "Rows answered by a shadow too, by whether both agreed.")
    for labels, shadow in found:
        agreed, rows = shadow.comparing.agreed_rows, shadow.comparing.rows
        page.sample(name, agreed, **labels, outcome="agreed")
        page.sample(name, rows - agreed, **labels, outcome="differed")
    name = "edgewright_shadow_failed_total"
    page.head(name, "counter", "Passes that a shadow gave no answer to, by reason.")
    for labels, shadow in found:
        for reason, count in sorted(shadow.failed.items()):
            page.sample(name, count, **labels, reason=reason)
    name = "edgewright_shadow_skipped_total"
    page.head(name, "counter", "Passes that a shadow had no time for.")
    for labels, shadow in found:
        page.sample(name, shadow.comparing.skipped, **labels)


def _render_requests(page: Exposition, served: list[ServedModel]) -> None:
    page.head("edgewright_requests_total", "counter", "Answered requests.")
    for model in served:
        page.sample("edgewright_requests_total", model.queue.tally.answered, **_labels(model))
    page.head("edgewright_errors_total", "counter", "Requests without a result, by reason.")
    for model in served:
        for reason, count in sorted(model.queue.tally.failed.items()):
            page.sample("edgewright_errors_total", count, **_labels(model), reason=reason)
    page.head("edgewright_request_seconds", "histogram", "From last byte read to answer written.")
    for model in served:
        tally = model.queue.tally
        page.histogram("edgewright_request_seconds", tally.requests, **_labels(model))
    page.head("edgewright_stage_seconds", "histogram", "Time of requests, by stage.")
    for model in served:
        for stage, found in model.queue.tally.stages.items():
            page.histogram("edgewright_stage_seconds", found, **_labels(model), stage=stage)


def _render_passes(page: Exposition, served: list[ServedModel]) -> None:
    page.head("edgewright_passes_total", "counter", "Passes of the model.")
    for model in served:
        page.sample("edgewright_passes_total", model.queue.tally.passes, **_labels(model))
    page.head("edgewright_rows_total", "counter", "Rows in these passes.")
    for model in served:
        page.sample("edgewright_rows_total", model.queue.tally.rows, **_labels(model))
    page.head("edgewright_pass_rows", "histogram", "Rows of a pass: how far requests share one.")
    for model in served:
        page.histogram("edgewright_pass_rows", model.queue.tally.pass_rows, **_labels(model))
    page.head("edgewright_waiting", "gauge", "Requests that wait for a pass.")
    for model in served:
        page.sample("edgewright_waiting", model.waiting, **_labels(model))
    page.head("edgewright_in_flight", "gauge", "Requests that wait or run.")
    for model in served:
        page.sample("edgewright_in_flight", model.in_flight, **_labels(model))


def _render_processes(page: Exposition, served: list[ServedModel]) -> None:
    """Of models that run in processes of their own."""
    found = [(m.servable.isolation, _labels(m)) for m in served if m.servable.isolation]
    for name, text in (
        ("edgewright_model_memory_limit_bytes", "More than this ends the model's own process."),
        ("edgewright_model_memory_bytes", "Memory of the model's own process."),
    ):
        page.head(name, "gauge", text)
        for isolation, labels in found:
            megabytes = isolation.limit_mb if "limit" in name else isolation.used_mb
            page.sample(name, round(megabytes * (1 << 20)), **labels)
    name = "edgewright_model_restarts_total"
    page.head(name, "counter", "Starts of the model's own process after it had ended.")
    for isolation, labels in found:
        page.sample(name, isolation.restarts, **labels)


def _render_watched(page: Exposition, served: list[ServedModel]) -> None:
    """What the drift tap saw."""
    seen = [
        (moments, {**_labels(model), "tensor": tensor})
        for model in served
        for tensor, moments in sorted(model.queue.watch.moments.items())
        if moments.rows
    ]
    page.head("edgewright_tensor_rows_total", "counter", "Rows that the drift tap looked at.")
    for moments, labels in seen:
        page.sample("edgewright_tensor_rows_total", moments.rows, **labels)
    for what, text in (("mean", "Mean"), ("std", "Spread")):
        name = f"edgewright_tensor_{what}"
        page.head(name, "gauge", f"{text} of a channel over the latest rows looked at.")
        for moments, labels in seen:
            for channel, value in zip(moments.names, getattr(moments, what), strict=True):
                page.sample(name, float(value), **labels, channel=channel)
    _render_drift(page, served)


def _render_drift(page: Exposition, served: list[ServedModel]) -> None:
    judged = [
        (model.queue.watch.drift, _labels(model)) for model in served if model.queue.watch.drift
    ]
    page.head("edgewright_drift_score", "gauge", "Distance from the reference; above 1 is drift.")
    for drift, labels in judged:
        page.sample("edgewright_drift_score", drift.score, **labels)
    page.head("edgewright_drift_windows_total", "counter", "Windows that were judged.")
    for drift, labels in judged:
        page.sample("edgewright_drift_windows_total", drift.windows, **labels)
    page.head("edgewright_drift_alarm", "gauge", "1 while the named cause holds.")
    for drift, labels in judged:
        if drift.finding.cause:
            page.sample("edgewright_drift_alarm", 1, **labels, cause=drift.finding.cause)


def _render_sidecar(page: Exposition, served: list[ServedModel]) -> None:
    """The counts of the version that answers most for each name, under the names that dashboards
    of the first users' sidecar ask for.
    """
    page.head("hailo_inference_requests_total", "counter", "Requests, by outcome.")
    for model in served:
        tally = model.queue.tally
        for status, count in (("success", tally.answered), ("error", tally.failures)):
            page.sample("hailo_inference_requests_total", count, status=status, model=model.name)
    page.head("hailo_inference_duration_seconds", "histogram", "Last byte read to answer written.")
    for model in served:
        tally = model.queue.tally
        page.histogram("hailo_inference_duration_seconds", tally.requests, model=model.name)
    page.head("hailo_model_loaded", "gauge", "Whether a model answers.")
    for model in served:
        page.sample("hailo_model_loaded", 1, model=model.name)
    if not served:
        page.sample("hailo_model_loaded", 0)
    page.head("hailo_errors_total", "counter", "Requests without a result, by reason.")
    for model in served:
        for reason, count in sorted(model.queue.tally.failed.items()):
            page.sample("hailo_errors_total", count, error_type=reason, model=model.name)


def _labels(model: ServedModel) -> dict[str, str]:
    return {"model": model.name, "version": model.version}
