"""BentoML: one worker of one service."""

import os

import bentoml
import numpy as np
import onnxruntime as ort


@bentoml.service(
    workers=1,
    http={"port": int(os.environ["PORT"]), "host": "127.0.0.1"},
    logging={"access": {"enabled": False}},
)
class Service:
    def __init__(self) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = ort.InferenceSession(
            os.environ["MODEL"], options, providers=["CPUExecutionProvider"]
        )

    @bentoml.api
    def infer(self, x: list[float]) -> dict[str, list[float]]:
        values = np.array([x], np.float32)
        return {"y": self.session.run(["y"], {"x": values})[0][0].tolist()}
