"""Writes a release's weights file and what its net answers for one image.

usage: release_nets.py KIND_ARCHITECTURE FOLDER

FOLDER gets net.pth (KIND torchvision) or net.h5 (KIND keras), facts.json with
the file's name and the architecture, and reference.json with an image's width,
height and RGB values, the net's features and logits. The weights are random
(seed 3), the nets torch's, put together as the release's are: Keras pads the
right and the bottom at stride 2, has other epsilons, and its ResNet has the
stride in the first 1 x 1 convolution and biases before batch norms.
Exit status 77: torch, torchvision or h5py is not installed.
"""
import json
import sys

try:
    import h5py  # noqa: F401  used by release_files
    import torch
    import torchvision
except ImportError:
    sys.exit(77)

import release_files

CLASSES = 10
SIDE = 224


def mobilenet_v1():
    """With the names of our architecture."""
    net = torch.nn.Sequential()

    def step(name, inputs, outputs, size, stride, groups=1):
        net.add_module(name, torch.nn.Conv2d(
            inputs, outputs, size, stride, size // 2, groups=groups,
            bias=False))
        net.add_module(name + "_bn", torch.nn.BatchNorm2d(outputs))
        net.add_module(name + "_relu", torch.nn.ReLU6())

    step("stem", 3, 32, 3, 2)
    channels = [32, 64, 128, 128, 256, 256] + [512] * 6 + [1024, 1024]
    for i in range(13):
        stride = 2 if i in (1, 3, 5, 11) else 1
        step("dw%d" % i, channels[i], channels[i], 3, stride, channels[i])
        step("pw%d" % i, channels[i], channels[i + 1], 1, 1)
    net.add_module("pool", torch.nn.AdaptiveAvgPool2d(1))
    net.add_module("flatten", torch.nn.Flatten())
    net.add_module("fc", torch.nn.Linear(1024, CLASSES))
    return net


def build(kind, name):
    if name == "mobilenet_v1":
        return mobilenet_v1()
    options = {"weights": None, "num_classes": CLASSES}
    if name == "googlenet":
        # As its pretrained release: it rescales its input itself.
        options.update(transform_input=True, init_weights=False)
    return getattr(torchvision.models, name)(**options)


def classifier(net):
    if isinstance(getattr(net, "fc", None), torch.nn.Linear):
        return net.fc
    return net.classifier[1]


def pad_right_and_bottom(module, arguments):
    return (torch.nn.functional.pad(arguments[0], (0, 1, 0, 1)),)


def make_keras_like(net, name):
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1.001e-5 if name == "resnet50" else 1e-3
        if not isinstance(module, torch.nn.Conv2d):
            continue
        if name == "resnet50":
            module.bias = torch.nn.Parameter(
                torch.randn(module.out_channels) * 0.1)
        elif module.stride == (2, 2):
            module.padding = (0, 0)
            module.register_forward_pre_hook(pad_right_and_bottom)
    if name == "resnet50":
        for block in net.modules():
            if isinstance(block, torchvision.models.resnet.Bottleneck):
                block.conv1.stride, block.conv2.stride = (block.conv2.stride,
                                                          block.conv1.stride)


def preprocess(pixels, kind, name):
    """(n, 3, h, w) RGB, 0 to 255."""
    def column(values):
        return torch.tensor(values).reshape(3, 1, 1)

    if kind == "torchvision":
        return ((pixels / 255 - column([0.485, 0.456, 0.406]))
                / column([0.229, 0.224, 0.225]))
    if name == "resnet50":
        return pixels.flip(1) - column([103.939, 116.779, 123.68])
    return pixels / 127.5 - 1


def settle(net, batch):
    """Gives batch norms statistics of their own, so that nothing cancels."""
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    net.train()
    with torch.no_grad():
        net(batch)
    net.eval()


def write_keras(path, net, name):
    arrays = {key: value.numpy() for key, value in net.state_dict().items()
              if not key.endswith("num_batches_tracked")}
    shapes = {key: value.shape for key, value in arrays.items()}
    if name == "mobilenet_v1":
        writer = release_files.keras_mobilenet_v1(shapes, arrays)
    elif name == "mobilenet_v2":
        writer = release_files.keras_mobilenet_v2(shapes, arrays)
    else:
        writer = release_files.resnet((3, 4, 6, 3), shapes, arrays)
    writer.write(path)


def main(release, folder):
    kind, name = release.split("_", 1)
    torch.manual_seed(3)
    net = build(kind, name)
    if kind == "keras":
        make_keras_like(net, name)
    pixels = torch.randint(0, 256, (2, 3, SIDE, SIDE), dtype=torch.uint8)
    batch = preprocess(pixels.float(), kind, name)
    settle(net, batch)

    grabbed = []
    classifier(net).register_forward_pre_hook(
        lambda module, arguments: grabbed.append(arguments[0]))
    with torch.no_grad():
        logits = net(batch[:1])
    features = grabbed[0]
    if features.dim() == 4:
        features = features.mean((2, 3))

    if kind == "keras":
        write_keras(folder + "/net", net, name)
        file_name = "net.h5"
    else:
        torch.save(net.state_dict(), folder + "/net.pth")
        file_name = "net.pth"
    with open(folder + "/facts.json", "w") as file:
        json.dump({"file": file_name, "architecture": name}, file)
    with open(folder + "/reference.json", "w") as file:
        json.dump({
            "width": SIDE, "height": SIDE,
            "rgb": pixels[0].permute(1, 2, 0).flatten().tolist(),
            "features": features[0].tolist(), "logits": logits[0].tolist(),
        }, file)


main(sys.argv[1], sys.argv[2])
