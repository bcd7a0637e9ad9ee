"""usage: torchvision_eager.py ARCHITECTURE FOLDER [THREADS]: torchvision's
net as it is, float32, eager. THREADS: by default what
PyTorch takes by itself.
"""
import sys

import torch
import torchvision

from contestant import check, read_input, serve
from nets import feature_net
from safetensors_reader import read_safetensors


def main(name, folder, threads=None):
    if threads:
        torch.set_num_threads(int(threads))
    whole, net = feature_net(name)
    whole.load_state_dict(read_safetensors(f"{folder}/weights.safetensors"))
    images = torch.from_numpy(read_input(folder))
    with torch.no_grad():
        check(folder, net(images).numpy())
        serve(f"torch {torch.__version__} torchvision "
              f"{torchvision.__version__}, {torch.get_num_threads()} threads",
              lambda: net(images))


if __name__ == "__main__":
    main(*sys.argv[1:])
