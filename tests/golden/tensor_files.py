"""Writes safetensors files for the scripts that make weights files."""
import json
import struct

import numpy


def write_safetensors(path, arrays):
    """arrays: name -> NumPy array or torch tensor, float32 or int64."""
    header, data = {}, []
    end = 0
    for name, array in arrays.items():
        if hasattr(array, "detach"):
            array = array.detach().numpy()
        raw = numpy.ascontiguousarray(array).tobytes()
        header[name] = {
            "dtype": {"float32": "F32", "int64": "I64"}[str(array.dtype)],
            "shape": list(array.shape),
            "data_offsets": [end, end + len(raw)],
        }
        end += len(raw)
        data.append(raw)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(data))
