import json
import struct

import numpy as np
import torch


def read_safetensors(path):
    with open(path, "rb") as file:
        data = file.read()
    (size,) = struct.unpack("<Q", data[:8])
    tensors = {}
    for name, info in json.loads(data[8:8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + size + offset for offset in info["data_offsets"])
        kind = {"F32": np.float32, "I64": np.int64}[info["dtype"]]
        values = np.frombuffer(data[begin:end], kind).reshape(info["shape"])
        tensors[name] = torch.from_numpy(values.copy())
    return tensors
