"""Writes what one net's contestants need into a folder.

usage: prepare.py ARCHITECTURE FOLDER BATCH

FOLDER gets model.json and weights.safetensors (what Shoal reads), net.onnx
(the same net up to its feature, fixed batch) and opencv.onnx (the same in an
older opset, which OpenCV 4.6 can read), images.u8 (BATCH resized RGB
images, height x width x 3), input.f32 (the same, normalised, n x 3 x h x w)
and features.f32 (torchvision's own answer). Random weights, seed 5; batch
norms get the statistics of the images, so that activations are neither zero
nor huge. Images: smooth random fields with noise.
"""
import json
import pathlib
import sys

import numpy as np
import torch

from nets import SIDE, feature_net

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "golden"))
from net_reference import write_safetensors  # noqa: E402


def make_images(count):
    random = torch.Generator().manual_seed(5)
    coarse = torch.rand(count, 3, 7, 7, generator=random)
    smooth = torch.nn.functional.interpolate(
        coarse, size=(SIDE, SIDE), mode="bicubic", align_corners=False)
    noise = torch.randn(smooth.shape, generator=random) * 0.05
    return ((smooth + noise).clamp(0, 1) * 255).round().to(torch.uint8)


def main(name, folder, batch):
    torch.manual_seed(5)
    whole, net = feature_net(name)
    pixels = make_images(batch)
    mean = torch.tensor([123.675, 116.28, 103.53]).reshape(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)
    images = (pixels.float() - mean) / 255 / std
    for module in whole.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
        if getattr(module, "bias", None) is not None:
            # Equal biases would be merged in the ONNX file, in a way that
            # OpenCV does not read.
            torch.nn.init.normal_(module.bias, 0, 0.01)
    with torch.no_grad():
        whole.train()
        net(images)
        whole.eval()
        features = net(images)

    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(folder / "weights.safetensors", whole.state_dict())
    pixels.permute(0, 2, 3, 1).contiguous().numpy().tofile(
        folder / "images.u8")
    images.numpy().tofile(folder / "input.f32")
    features.numpy().tofile(folder / "features.f32")
    for file, opset in (("net.onnx", 13), ("opencv.onnx", 10)):
        torch.onnx.export(net, images, str(folder / file),
                          opset_version=opset, input_names=["input"],
                          output_names=["features"])
    model = {
        "name": name,
        "architecture": name,
        "variant": {},
        "weights": "weights.safetensors",
        "input": {
            "width": SIDE, "height": SIDE, "channels": "rgb",
            "scale": 1 / 255, "mean": mean.flatten().tolist(),
            "std": std.flatten().tolist(),
        },
        "feature": {"dim": features.shape[1]},
        "source": "random weights",
        "licence": "none",
    }
    (folder / "model.json").write_text(json.dumps(model))
    np.testing.assert_equal(np.isfinite(features.numpy()).all(), True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
