"""What every contestant written in Python has in common: it says that it is
ready, then for every line N on its input runs N batches and prints the
seconds that they took.
"""
import sys
import time

import numpy as np


def read_input(folder):
    values = np.fromfile(f"{folder}/input.f32", np.float32)
    return values.reshape(-1, 3, 224, 224)


def check(folder, features):
    expected = np.fromfile(f"{folder}/features.f32", np.float32)
    expected = expected.reshape(features.shape)
    worst = np.abs(features - expected).max() / np.abs(expected).max()
    if not worst < 1e-3:
        raise SystemExit(f"features are off by {worst}")


def serve(version, run):
    print("ready", version, flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        for _ in range(int(line)):
            run()
        print(time.perf_counter() - start, flush=True)
