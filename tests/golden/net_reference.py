"""Writes a model folder with random weights and the answers expected of it.

usage: net_reference.py NAME FOLDER
       net_reference.py --list

NAME is a case: an architecture, some with a suffix for a variant. --list
prints the cases and whose tensor names they have. FOLDER gets
weights.safetensors (weights.pt for "torchscript"), model.json and
reference.npz with pixels (n, 3, h, w), features and logits. The answers are
torchvision's (0.14.1 in Debian 12) where it has the architecture, else those
of reference_nets.py, computed in float64 from the float32 weights; seed 3, made
when the tests run.
Exit status 77: torch or torchvision is not installed.
"""
import json
import re
import struct
import sys

try:
    import numpy as np
    import torch
    import torchvision
except ImportError:
    sys.exit(77)

import reference_nets

CLASSES = 10
MEAN = [0.485, 0.456, 0.406]
STD = [0.229, 0.224, 0.225]


class Case:
    """How a net is made and run.

    build    gives the net
    head     name of the classifier, whose input is the feature; None: the
             net's output is the feature and there is no classifier
    variant  of model.json, besides the number of classes
    epsilon  of every batch norm, where it is not the net's own
    centred  the net itself turns ImageNet's normalisation into (-1, 1)
    rename   from the net's tensor names to the file's
    layout   whose tensor names the file has
    """

    def __init__(self, build, head, architecture=None, variant=None,
                 height=96, width=96, images=4, epsilon=None, centred=False,
                 rename=None, layout="torchvision"):
        self.build, self.head, self.architecture = build, head, architecture
        self.variant = dict(variant or {})
        self.height, self.width, self.images = height, width, images
        self.epsilon, self.centred = epsilon, centred
        self.rename = rename or (lambda name: name)
        self.layout = layout
        if epsilon is not None:
            self.variant["batch_norm_epsilon"] = epsilon


def torchvision_net(name, **options):
    def build():
        make = getattr(torchvision.models, name)
        return make(weights=None, num_classes=CLASSES, **options)
    return build


def tensorflow(build):
    return lambda: reference_nets.with_same_padding(build())


def uncounted_padding(build):
    """Average pools leave out their padding, as TensorFlow's do."""
    def patched():
        functional = torchvision.models.inception.F
        plain = functional.avg_pool2d
        functional.avg_pool2d = lambda *arguments, **options: plain(
            *arguments, count_include_pad=False, **options)
        return build()
    return patched


def old_densenet_name(name):
    return re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", name)


def cases():
    found = {}
    for name in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"):
        found[name] = Case(torchvision_net(name), "fc")
    # The adaptive pool makes 6 x 6 of 4 x 8.
    found["alexnet"] = Case(torchvision_net("alexnet"), "classifier.6",
                            height=160, width=288)
    for name in ("vgg16", "vgg16_bn", "vgg19", "vgg19_bn"):
        found[name] = Case(torchvision_net(name, init_weights=False),
                           "classifier.6", images=2)
    for name in ("squeezenet1_0", "squeezenet1_1"):
        found[name] = Case(torchvision_net(name), "classifier.1")
    found["googlenet"] = Case(
        torchvision_net("googlenet", aux_logits=True, init_weights=False,
                        transform_input=True), "fc", centred=True)
    inception = torchvision_net("inception_v3", aux_logits=True,
                                init_weights=False, transform_input=True)
    # Not square, so that rows and columns are told apart.
    found["inception_v3"] = Case(inception, "fc", height=139, width=171,
                                 centred=True)
    found["inception_v3_uncounted_padding"] = Case(
        uncounted_padding(inception), "fc", "inception_v3",
        {"count_padding": False}, height=139, width=171, centred=True)
    densenet = torchvision_net("densenet121")
    found["densenet121"] = Case(densenet, "classifier")
    found["densenet121_old_names"] = Case(
        densenet, "classifier", "densenet121", rename=old_densenet_name)

    mobilenet = torchvision_net("mobilenet_v2")
    efficientnet = torchvision_net("efficientnet_b0")
    found["mobilenet_v2"] = Case(mobilenet, "classifier.1")
    found["efficientnet_b0"] = Case(efficientnet, "classifier.1")
    own_mobilenet = lambda: reference_nets.MobileNetV1(CLASSES)
    xception = lambda: reference_nets.Xception(CLASSES)
    found["mobilenet_v1"] = Case(own_mobilenet, "fc", layout="Shoal")
    found["xception"] = Case(xception, "fc", height=128, width=144,
                             layout="timm")
    # Odd and even sides: SAME depends on the input's size.
    for name in ("mobilenet_v1", "mobilenet_v2", "efficientnet_b0", "xception"):
        plain = found[name]
        found[name + "_tf_same"] = Case(
            tensorflow(plain.build), plain.head, name, {"padding": "tf_same"},
            height=128, width=137, epsilon=1e-3, layout=plain.layout)

    def lenet(**options):
        return lambda: reference_nets.LeNet(CLASSES, **options)
    found["lenet"] = Case(lenet(), "fc3", height=32, width=32,
                          layout="Shoal")
    average = torch.nn.functional.avg_pool2d
    found["lenet_tanh_average"] = Case(
        lenet(activation=torch.tanh, pool=average), "fc3", "lenet",
        {"activation": "tanh", "pooling": "average"}, height=32, width=32,
        layout="Shoal")
    found["lenet_grey"] = Case(
        lambda: reference_nets.GreyToLuma(lenet(channels=1)()), "net.fc3",
        "lenet", {"grey": True}, height=32, width=32,
        rename=lambda name: name[len("net."):], layout="Shoal")

    found["alexnet_bvlc"] = Case(
        reference_nets.AlexNetBvlc, None, height=131, width=131,
        layout="Shoal")
    found["googlenet_bvlc"] = Case(
        lambda: reference_nets.GoogLeNetBvlc(CLASSES), "fc", layout="Shoal")
    found["torchscript"] = Case(mobilenet, "classifier.1", layout="any")
    return found


def write_safetensors(path, tensors):
    header, size = {}, 0
    for name, tensor in tensors.items():
        kind = {torch.float32: "F32", torch.int64: "I64"}[tensor.dtype]
        end = size + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": kind, "shape": list(tensor.shape),
                        "data_offsets": [size, end]}
        size = end
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            tensor.detach().contiguous().numpy().tofile(file)


def random_images(images, height, width):
    """Patches of random colour with noise: noise alone averages out, and all
    images would have nearly the same features."""
    patches = torch.nn.functional.interpolate(
        torch.randint(0, 256, (images, 3, 5, 5)).float(), (height, width))
    noise = torch.randint(-40, 41, (images, 3, height, width))
    return (patches + noise).clamp(0, 255).to(torch.uint8)


def randomize(net, batch, epsilon):
    """Random weights that keep the signal's size through any depth, and batch
    norms with scales and statistics of their own, so that nothing cancels.

    Shifts are mostly positive and ResNets' branches small. Otherwise rounding
    grows with every layer: torchvision's own resnet152 would be 6e-4 away in
    float32 from what it gives in float64."""
    norms = []
    for module in net.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            torch.nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                torch.nn.init.uniform_(module.bias, -0.2, 0.2)
        elif isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
            module.eps = module.eps if epsilon is None else epsilon
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.2, 1)
            norms.append(module)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, torchvision.models.resnet.Bottleneck):
                module.bn3.weight *= 0.3
            elif isinstance(module, torchvision.models.resnet.BasicBlock):
                module.bn2.weight *= 0.3
    # Only they train: auxiliary heads, which small inputs do not fit, rest.
    net.eval()
    for norm in norms:
        norm.train()
    with torch.no_grad():
        net(batch)
    net.eval()


def run(net, head, batch):
    """Features and logits; no logits without a head."""
    grabbed = []
    if head is not None:
        hook = net.get_submodule(head).register_forward_pre_hook(
            lambda module, arguments: grabbed.append(arguments[0]))
    with torch.no_grad():
        output = net(batch)
    if head is None:
        return output, output[:, :0]
    hook.remove()
    features = grabbed[0]
    if features.dim() == 4:
        features = features.mean((2, 3))
    return features, output


def check_that_images_matter(features):
    spread = (features - features.mean(0)).abs().max() / features.abs().max()
    if not spread > 0.05:
        sys.exit(f"features hardly depend on the image: {spread}")


def write_torchscript(path, net, batch):
    trunk = torch.nn.Sequential(
        net.features, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    trunk.eval()
    torch.jit.save(torch.jit.trace(trunk, batch), path)


def main(name, folder):
    case = cases()[name]
    torch.manual_seed(3)
    # randomize() does that, and VGG's 10^8 weights take seconds.
    for layer in (torch.nn.Conv2d, torch.nn.Linear):
        layer.reset_parameters = lambda module: None
    net = case.build()
    pixels = random_images(case.images, case.height, case.width)
    mean = torch.tensor(MEAN).reshape(3, 1, 1)
    std = torch.tensor(STD).reshape(3, 1, 1)
    batch = (pixels.float() / 255 - mean) / std
    randomize(net, batch, case.epsilon)
    net.double()
    features, logits = (values.float()
                        for values in run(net, case.head, batch.double()))
    net.float()
    check_that_images_matter(features)

    scripted = name == "torchscript"
    weights = "weights.pt" if scripted else "weights.safetensors"
    if scripted:
        write_torchscript(f"{folder}/{weights}", net, batch)
        logits = logits[:, :0]
    else:
        write_safetensors(
            f"{folder}/{weights}",
            {case.rename(key): value
             for key, value in net.state_dict().items()})
        case.variant["classes"] = logits.shape[1]
    np.savez_compressed(
        f"{folder}/reference.npz",
        pixels=pixels.numpy(), features=features.numpy(), logits=logits.numpy())
    model = {
        "name": name,
        "architecture": case.architecture or name,
        "variant": case.variant,
        "weights": weights,
        "input": {
            "width": case.width, "height": case.height, "channels": "rgb",
            "scale": 1 / 255,
            "mean": [127.5] * 3 if case.centred else [255 * m for m in MEAN],
            "std": [0.5] * 3 if case.centred else STD,
        },
        "feature": {"dim": features.shape[1]},
        "source": "random weights",
        "licence": "none",
    }
    with open(f"{folder}/model.json", "w") as file:
        json.dump(model, file)


if __name__ == "__main__":
    if sys.argv[1:] == ["--list"]:
        for name, case in cases().items():
            print(name, case.layout)
    else:
        main(sys.argv[1], sys.argv[2])
