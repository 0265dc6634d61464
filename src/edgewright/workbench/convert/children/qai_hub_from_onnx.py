"""Runs where qai-hub is, with its account configured: a compile job in Qualcomm's cloud."""

import sys

import qai_hub


def main(device: str) -> None:
    """Submit, wait, download a context binary."""
    job = qai_hub.submit_compile_job(
        model="model.onnx",
        device=qai_hub.Device(device),
        options="--target_runtime qnn_context_binary",
    )
    model = job.get_target_model()
    if model is None:
        raise RuntimeError(f"compile job {job.job_id} failed: {job.get_status().message}")
    model.download("model.bin")


main(*sys.argv[1:])
