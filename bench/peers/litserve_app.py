"""LitServe: one worker process, as its README writes it."""

import os
from typing import Any

import litserve as ls
import numpy as np
import onnxruntime as ort


class Api(ls.LitAPI):
    def setup(self, device: str) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = ort.InferenceSession(
            os.environ["MODEL"], options, providers=["CPUExecutionProvider"]
        )

    def decode_request(self, request: dict[str, Any]) -> Any:
        return np.array([request["x"]], np.float32)

    def predict(self, values: Any) -> Any:
        return self.session.run(["y"], {"x": values})[0]

    def encode_response(self, output: Any) -> dict[str, Any]:
        return {"y": output[0].tolist()}


if __name__ == "__main__":
    server = ls.LitServer(Api(api_path="/infer"), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
