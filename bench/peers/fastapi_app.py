"""FastAPI and onnxruntime, as its guide writes it."""

import os

import numpy as np
import onnxruntime as ort
from fastapi import FastAPI
from pydantic import BaseModel

options = ort.SessionOptions()
options.intra_op_num_threads = 1
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
session = ort.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
app = FastAPI()


class Query(BaseModel):
    x: list[float]


@app.post("/infer")
async def infer(query: Query) -> dict[str, list[float]]:
    values = np.array([query.x], np.float32)
    return {"y": session.run(["y"], {"x": values})[0][0].tolist()}
