"""Writes a model folder with random weights and torchvision's own answers.

usage: torchvision_reference.py ARCHITECTURE FOLDER

FOLDER gets weights.safetensors (weights.pt for "torchscript"), model.json and
reference.npz with pixels (n, 3, h, w), features and logits. Made at test time
from the installed torchvision (0.14.1 in Debian 12), seed 3, float32.
Exit status 77: torch or torchvision is not installed.
"""
import json
import struct
import sys

try:
    import numpy as np
    import torch
    import torchvision
except ImportError:
    sys.exit(77)

SIDE = 96
CLASSES = 10


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, tensor in tensors.items():
        values = tensor.detach().numpy()
        kind = {"float32": "F32", "int64": "I64"}[str(values.dtype)]
        raw = np.ascontiguousarray(values).tobytes()
        header[name] = {
            "dtype": kind,
            "shape": list(values.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def build(name):
    """The net and the module whose output is the feature."""
    options = {"weights": None, "num_classes": CLASSES}
    if name == "googlenet":
        net = torchvision.models.googlenet(
            aux_logits=True, init_weights=False, **options)
        return net, net.avgpool
    if name == "mobilenet_v2":
        net = torchvision.models.mobilenet_v2(**options)
        return net, net.features
    if name == "squeezenet1_1":
        net = torchvision.models.squeezenet1_1(**options)
        return net, net.features
    net = torchvision.models.resnet50(**options)
    return net, net.avgpool


def main(name, folder):
    torch.manual_seed(3)
    scripted = name == "torchscript"
    net, feature_module = build("mobilenet_v2" if scripted else name)
    pixels = torch.randint(0, 256, (4, 3, SIDE, SIDE), dtype=torch.uint8)
    mean = torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)
    batch = (pixels.float() / 255 - mean) / std

    # Batch norms get statistics of their own: averages over the input and
    # random scales, so that nothing cancels.
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    net.train()
    with torch.no_grad():
        net(batch)
    net.eval()

    grabbed = []
    feature_module.register_forward_hook(
        lambda module, arguments, output: grabbed.append(output))
    with torch.no_grad():
        logits = net(batch)
    features = grabbed[0]
    if features.shape[2:] != (1, 1):
        features = features.mean((2, 3))
    features = features.flatten(1)

    weights = "weights.safetensors"
    if scripted:
        weights = "weights.pt"
        trunk = torch.nn.Sequential(
            net.features, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
        trunk.eval()
        grabbed.clear()
        net.features._forward_hooks.clear()
        torch.jit.save(torch.jit.trace(trunk, batch), f"{folder}/{weights}")
        logits = logits[:, :0]
    else:
        write_safetensors(f"{folder}/{weights}", net.state_dict())
    np.savez_compressed(
        f"{folder}/reference.npz",
        pixels=pixels.numpy(), features=features.numpy(), logits=logits.numpy())
    model = {
        "name": name,
        "architecture": name,
        "variant": {} if scripted else {"classes": CLASSES},
        "weights": weights,
        "input": {
            "width": SIDE, "height": SIDE, "channels": "rgb", "scale": 1 / 255,
            "mean": [123.675, 116.28, 103.53], "std": [0.229, 0.224, 0.225],
        },
        "feature": {"dim": features.shape[1]},
        "source": "random weights",
        "licence": "none",
    }
    with open(f"{folder}/model.json", "w") as file:
        json.dump(model, file)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
