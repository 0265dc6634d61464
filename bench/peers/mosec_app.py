"""mosec: its Rust front and one worker that takes up to BATCH requests together."""

import os
from typing import Any

import numpy as np
import onnxruntime as ort
from mosec import Server, Worker

BATCH = int(os.environ["BATCH"])


class Infer(Worker):
    def __init__(self) -> None:
        super().__init__()
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = ort.InferenceSession(
            os.environ["MODEL"], options, providers=["CPUExecutionProvider"]
        )

    def forward(self, data: Any) -> Any:
        """A list of requests where they are taken together, else one."""
        items = data if BATCH > 1 else [data]
        values = np.array([item["x"] for item in items], np.float32)
        answers = [{"y": row} for row in self.session.run(["y"], {"x": values})[0].tolist()]
        return answers if BATCH > 1 else answers[0]


if __name__ == "__main__":
    server = Server()
    server.append_worker(Infer, num=1, max_batch_size=BATCH)
    server.run()
