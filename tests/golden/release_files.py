"""Writes weights as Keras, timm and Cadene name and lay them out, and what
each must become.

usage: release_files.py FOLDER

KIND_ARCHITECTURE.h5 or .safetensors is the release, and
KIND_ARCHITECTURE.expected.safetensors the same under our names. Layer names,
their order and their filters are those of keras.applications (Keras 2.15;
resnet50_2015: fchollet/deep-learning-models v0.2), timm 0.9 and
Cadene/pretrained-models.pytorch; our names and shapes are those of
torchvision where it has the net, and are compared with the filters here.
Channels are then divided by 16, so that the files are small. Seed 3.
Exit status 77: torch, torchvision or h5py is not installed.
"""
import sys

try:
    import h5py
    import numpy as np
    import torch
    import torchvision
except ImportError:
    sys.exit(77)

from tensor_files import write_safetensors

RANDOM = np.random.RandomState(3)
SHRINK = 16
POOLED = 7  # VGG's last map, pixels


def torchvision_shapes(name):
    """Names and shapes of torchvision's net, without making random numbers."""
    for function in ("kaiming_normal_", "kaiming_uniform_", "normal_",
                     "uniform_", "constant_", "trunc_normal_", "ones_",
                     "zeros_"):
        setattr(torch.nn.init, function, lambda tensor, *a, **k: tensor)
    options = {"weights": None}
    if name in ("inception_v3", "googlenet"):
        options["init_weights"] = False
    net = getattr(torchvision.models, name)(**options)
    return {key: tuple(value.shape) for key, value in net.state_dict().items()
            if not key.startswith("AuxLogits.")
            and not key.endswith("num_batches_tracked")}


def small(size):
    return size if size <= 7 or size == 49 else -(-size // SHRINK)


def shrunk(name, shape):
    if name == "classifier.0.weight" and len(shape) == 2:  # VGG's
        return (small(shape[0]),
                small(shape[1] // POOLED ** 2) * POOLED ** 2)
    return tuple(small(size) for size in shape)


def random_array(shape):
    return RANDOM.randn(*shape).astype(np.float32)


class KerasWriter:
    """Collects layers in Keras's axes from tensors in ours: `arrays`, or
    small random ones of nearly these shapes."""

    def __init__(self, shapes, arrays=None):
        self.shapes = shapes
        self.ours = arrays or {name: random_array(shrunk(name, shape))
                               for name, shape in shapes.items()}
        self.layers = []
        self.used = set()

    def take(self, name):
        self.used.add(name)
        return self.ours[name]

    def extra(self, name, size):
        """A tensor that torchvision's net has not, such as a bias."""
        self.ours[name] = random_array((small(size),))
        return self.take(name)

    def conv(self, layer, module, filters, height, width, bias=False):
        full = self.shapes[module + ".weight"]
        assert full[0] == filters and full[2:] == (height, width), (
            layer, module, full)
        weights = [("kernel", self.take(module + ".weight")
                    .transpose(2, 3, 1, 0))]
        if bias:
            name = module + ".bias"
            weights.append(("bias", self.take(name) if name in self.ours
                            else self.extra(name, filters)))
        self.layers.append((layer, weights))

    def depthwise(self, layer, module):
        weight = self.take(module + ".weight")
        assert weight.shape[1] == 1
        self.layers.append((layer, [("depthwise_kernel",
                                     weight.transpose(2, 3, 0, 1))]))

    def separable(self, layer, module):
        self.layers.append((layer, [
            ("depthwise_kernel",
             self.take(module + ".conv1.weight").transpose(2, 3, 0, 1)),
            ("pointwise_kernel",
             self.take(module + ".pointwise.weight").transpose(2, 3, 1, 0))]))

    def batch_norm(self, layer, module, scale=True):
        weights = []
        if scale:
            weights.append(("gamma", self.take(module + ".weight")))
        else:
            self.ours[module + ".weight"] = np.ones_like(
                self.take(module + ".weight"))
        weights += [("beta", self.take(module + ".bias")),
                    ("moving_mean", self.take(module + ".running_mean")),
                    ("moving_variance", self.take(module + ".running_var"))]
        self.layers.append((layer, weights))

    def dense(self, layer, module, after_map=False):
        weight = self.take(module + ".weight")
        if after_map:
            outputs = weight.shape[0]
            weight = (weight.reshape(outputs, -1, POOLED, POOLED)
                      .transpose(0, 2, 3, 1).reshape(outputs, -1))
        self.layers.append((layer, [("kernel", weight.T),
                                    ("bias", self.take(module + ".bias"))]))

    def empty(self, layer):
        self.layers.append((layer, []))

    def write(self, path, nested=None, variable_names=False):
        assert self.used == set(self.ours), set(self.ours) - self.used
        with h5py.File(path + ".h5", "w") as file:
            root = file.create_group(nested) if nested else file
            names = [layer for layer, _ in self.layers]
            root.attrs["layer_names"] = (
                names if variable_names else [n.encode() for n in names])
            for layer, weights in self.layers:
                group = root.create_group(layer)
                full = ["%s/%s:0" % (layer, name) for name, _ in weights]
                group.attrs["weight_names"] = (
                    full if variable_names else [n.encode() for n in full])
                for name, (_, array) in zip(full, weights):
                    group.create_dataset(name, data=np.ascontiguousarray(array))
        write_safetensors(path + ".expected.safetensors", self.ours)


def vgg(name, stages):
    writer = KerasWriter(torchvision_shapes(name))
    index = 0
    for stage, (count, filters) in enumerate(
            zip(stages, (64, 128, 256, 512, 512))):
        for i in range(count):
            writer.conv("block%d_conv%d" % (stage + 1, i + 1),
                        "features.%d" % index, filters, 3, 3, bias=True)
            index += 2
        writer.empty("block%d_pool" % (stage + 1))
        index += 1
    writer.empty("flatten")
    writer.dense("fc1", "classifier.0", after_map=True)
    writer.dense("fc2", "classifier.3")
    writer.dense("predictions", "classifier.6")
    return writer


def resnet(stages, shapes, arrays=None):
    writer = KerasWriter(shapes, arrays)
    writer.conv("conv1_conv", "conv1", 64, 7, 7, bias=True)
    writer.batch_norm("conv1_bn", "bn1")
    for stage, blocks in enumerate(stages):
        filters = 64 << stage
        for block in range(blocks):
            keras = "conv%d_block%d_" % (stage + 2, block + 1)
            ours = "layer%d.%d." % (stage + 1, block)
            if block == 0:
                writer.conv(keras + "0_conv", ours + "downsample.0",
                            4 * filters, 1, 1, bias=True)
            for i, size in ((1, 1), (2, 3), (3, 1)):
                writer.conv(keras + "%d_conv" % i, ours + "conv%d" % i,
                            4 * filters if i == 3 else filters, size, size,
                            bias=True)
                writer.batch_norm(keras + "%d_bn" % i, ours + "bn%d" % i)
            if block == 0:
                writer.batch_norm(keras + "0_bn", ours + "downsample.1")
    writer.dense("predictions", "fc")
    return writer


def resnet50_2015():
    writer = KerasWriter(torchvision_shapes("resnet50"))
    writer.conv("conv1", "conv1", 64, 7, 7, bias=True)
    writer.batch_norm("bn_conv1", "bn1")
    for stage, blocks in enumerate((3, 4, 6, 3)):
        filters = 64 << stage
        for block in range(blocks):
            tail = "%d%s_branch" % (stage + 2, "abcdef"[block])
            ours = "layer%d.%d." % (stage + 1, block)
            for i, size in ((1, 1), (2, 3), (3, 1)):
                branch = tail + "2" + "abc"[i - 1]
                writer.conv("res" + branch, ours + "conv%d" % i,
                            4 * filters if i == 3 else filters, size, size,
                            bias=True)
                writer.batch_norm("bn" + branch, ours + "bn%d" % i)
            if block == 0:
                writer.conv("res" + tail + "1", ours + "downsample.0",
                            4 * filters, 1, 1, bias=True)
                writer.batch_norm("bn" + tail + "1", ours + "downsample.1")
    writer.dense("fc1000", "fc")
    return writer


def densenet121(slash):
    writer = KerasWriter(torchvision_shapes("densenet121"))
    writer.conv("conv1/conv" if slash else "conv1_conv", "features.conv0", 64,
                7, 7)
    writer.batch_norm("conv1/bn" if slash else "conv1_bn", "features.norm0")
    for stage, blocks in enumerate((6, 12, 24, 16)):
        for block in range(blocks):
            keras = "conv%d_block%d_" % (stage + 2, block + 1)
            ours = "features.denseblock%d.denselayer%d." % (stage + 1,
                                                             block + 1)
            writer.batch_norm(keras + "0_bn", ours + "norm1")
            writer.conv(keras + "1_conv", ours + "conv1", 128, 1, 1)
            writer.batch_norm(keras + "1_bn", ours + "norm2")
            writer.conv(keras + "2_conv", ours + "conv2", 32, 3, 3)
        if stage < 3:
            keras = "pool%d_" % (stage + 2)
            ours = "features.transition%d." % (stage + 1)
            writer.batch_norm(keras + "bn", ours + "norm")
            writer.conv(keras + "conv", ours + "conv", 128 << stage, 1, 1)
    writer.batch_norm("bn", "features.norm5")
    writer.dense("fc1000", "classifier")
    return writer


# Filters, height and width of keras.applications.InceptionV3's conv2d_bn
# calls, in the order of the calls.
STEM = [(32, 3, 3), (32, 3, 3), (64, 3, 3), (80, 1, 1), (192, 3, 3)]


def mixed_a(pooled):
    return [(64, 1, 1), (48, 1, 1), (64, 5, 5), (64, 1, 1), (96, 3, 3),
            (96, 3, 3), (pooled, 1, 1)]


def mixed_c(n):
    return [(192, 1, 1), (n, 1, 1), (n, 1, 7), (192, 7, 1), (n, 1, 1),
            (n, 7, 1), (n, 1, 7), (n, 7, 1), (192, 1, 7), (192, 1, 1)]


MIXED_3 = [(384, 3, 3), (64, 1, 1), (96, 3, 3), (96, 3, 3)]
MIXED_8 = [(192, 1, 1), (320, 3, 3), (192, 1, 1), (192, 1, 7), (192, 7, 1),
           (192, 3, 3)]
MIXED_9 = [(320, 1, 1), (384, 1, 1), (384, 1, 3), (384, 3, 1), (448, 1, 1),
           (384, 3, 3), (384, 1, 3), (384, 3, 1), (192, 1, 1)]


def inception_v3(first):
    """first: the number of the first numbered layer; Keras counts on when
    several nets are made in one session."""
    calls = (STEM + mixed_a(32) + mixed_a(64) + mixed_a(64) + MIXED_3
             + mixed_c(128) + mixed_c(160) + mixed_c(160) + mixed_c(192)
             + MIXED_8 + MIXED_9 + MIXED_9)
    assert len(calls) == 94
    shapes = torchvision_shapes("inception_v3")
    # torchvision makes its modules in the order of Keras's calls.
    modules = [name[:-len(".conv.weight")] for name in shapes
               if name.endswith(".conv.weight")]
    writer = KerasWriter(shapes)
    for i, (module, call) in enumerate(zip(modules, calls)):
        number = first + i
        tail = "_%d" % number if number else ""
        writer.conv("conv2d" + tail, module + ".conv", *call)
        writer.batch_norm("batch_normalization" + tail, module + ".bn",
                          scale=False)
    # Keras lists layers by depth, so parallel branches are mixed.
    order = RANDOM.permutation(len(writer.layers))
    writer.layers = [writer.layers[i] for i in order]
    writer.dense("predictions", "fc")
    return writer


def xception_shapes():
    """Cadene's and timm's names."""
    shapes = {}

    def conv(name, out, inputs, size):
        shapes[name + ".weight"] = (out, inputs, size, size)

    def norm(name, channels):
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            shapes[name + "." + leaf] = (channels,)

    def separable(name, inputs, out):
        conv(name + ".conv1", inputs, 1, 3)
        conv(name + ".pointwise", out, inputs, 1)

    conv("conv1", 32, 3, 3)
    norm("bn1", 32)
    conv("conv2", 64, 32, 3)
    norm("bn2", 64)
    channels = [64, 128, 256, 728] + [728] * 8 + [1024]
    for block in range(1, 13):
        inputs, out = channels[block - 1], channels[block]
        name = "block%d." % block
        count = 3 if 4 <= block <= 11 else 2
        index = 0 if block == 1 else 1
        for i in range(count):
            a = inputs if i == 0 or block == 12 else out
            b = out if block != 12 or i == 1 else inputs
            separable(name + "rep.%d" % index, a, b)
            norm(name + "rep.%d" % (index + 1), b)
            index += 3
        if inputs != out:
            conv(name + "skip", out, inputs, 1)
            norm(name + "skipbn", out)
    for i, (inputs, out) in ((3, (1024, 1536)), (4, (1536, 2048))):
        separable("conv%d" % i, inputs, out)
        norm("bn%d" % i, out)
    shapes["fc.weight"], shapes["fc.bias"] = (1000, 2048), (1000,)
    return shapes


def xception():
    writer = KerasWriter(xception_shapes())
    for i, filters in ((1, 32), (2, 64)):
        writer.conv("block1_conv%d" % i, "conv%d" % i, filters, 3, 3)
        writer.batch_norm("block1_conv%d_bn" % i, "bn%d" % i)
    skips = {2: ("_1", 128), 3: ("_2", 256), 4: ("_3", 728), 13: ("_4", 1024)}
    for block in range(2, 14):
        ours = "block%d." % (block - 1)
        if block in skips:
            tail, filters = skips[block]
            writer.conv("conv2d" + tail, ours + "skip", filters, 1, 1)
        for i in range(3 if 5 <= block <= 12 else 2):
            keras = "block%d_sepconv%d" % (block, i + 1)
            index = 3 * i + (0 if block == 2 else 1)
            writer.separable(keras, ours + "rep.%d" % index)
            writer.batch_norm(keras + "_bn", ours + "rep.%d" % (index + 1))
        if block in skips:
            writer.batch_norm("batch_normalization" + skips[block][0],
                              ours + "skipbn")
    for i in (1, 2):
        writer.separable("block14_sepconv%d" % i, "conv%d" % (i + 2))
        writer.batch_norm("block14_sepconv%d_bn" % i, "bn%d" % (i + 2))
    writer.dense("predictions", "fc")
    return writer


def write_renamed(path, shapes, rename, reshape=lambda name, array: array):
    """Writes a PyTorch release with names of its own, and ours."""
    ours = {name: random_array(shrunk(name, shape))
            for name, shape in shapes.items()}
    theirs = {rename(name): reshape(name, array)
              for name, array in ours.items()}
    assert len(theirs) == len(ours)
    write_safetensors(path + ".safetensors", theirs)
    write_safetensors(path + ".expected.safetensors", ours)


V2_BLOCKS = [1, 2, 3, 4, 3, 3, 1]


def timm_mobilenet_v2(name):
    parts = name.split(".")
    leaf = parts[-1]
    if parts[0] == "classifier":
        return "classifier." + leaf
    index = int(parts[1])
    if index in (0, 18):
        kind = {0: ("conv_stem", "bn1"), 18: ("conv_head", "bn2")}[index]
        return kind[int(parts[2])] + "." + leaf
    index -= 1
    stage = 0
    while index >= V2_BLOCKS[stage]:
        index -= V2_BLOCKS[stage]
        stage += 1
    place = ".".join(parts[3:-1])
    if stage == 0:
        module = {"0.0": "conv_dw", "0.1": "bn1", "1": "conv_pw",
                  "2": "bn2"}[place]
    else:
        module = {"0.0": "conv_pw", "0.1": "bn1", "1.0": "conv_dw",
                  "1.1": "bn2", "2": "conv_pwl", "3": "bn3"}[place]
    return "blocks.%d.%d.%s.%s" % (stage, index, module, leaf)


def timm_efficientnet_b0(name):
    parts = name.split(".")
    leaf = parts[-1]
    if parts[0] == "classifier":
        return "classifier." + leaf
    stage = int(parts[1])
    if stage in (0, 8):
        kind = {0: ("conv_stem", "bn1"), 8: ("conv_head", "bn2")}[stage]
        return kind[int(parts[2])] + "." + leaf
    place = ".".join(parts[4:-1])
    if stage == 1:
        module = {"0.0": "conv_dw", "0.1": "bn1", "1.fc1": "se.conv_reduce",
                  "1.fc2": "se.conv_expand", "2.0": "conv_pw",
                  "2.1": "bn2"}[place]
    else:
        module = {"0.0": "conv_pw", "0.1": "bn1", "1.0": "conv_dw",
                  "1.1": "bn2", "2.fc1": "se.conv_reduce",
                  "2.fc2": "se.conv_expand", "3.0": "conv_pwl",
                  "3.1": "bn3"}[place]
    return "blocks.%d.%s.%s.%s" % (stage - 1, parts[2], module, leaf)


def mobilenet_v1_shapes():
    """Our own names."""
    shapes = {}

    def step(name, *shape):
        shapes[name + ".weight"] = shape
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            shapes[name + "_bn." + leaf] = shape[:1]

    step("stem", 32, 3, 3, 3)
    channels = [32, 64, 128, 128, 256, 256] + [512] * 6 + [1024, 1024]
    for i in range(13):
        step("dw%d" % i, channels[i], 1, 3, 3)
        step("pw%d" % i, channels[i + 1], channels[i], 1, 1)
    shapes["fc.weight"], shapes["fc.bias"] = (1000, 1024), (1000,)
    return shapes


def timm_mobilenet_v1(name):
    module, leaf = name.rsplit(".", 1)
    fixed = {"stem": "conv_stem", "stem_bn": "bn1", "fc": "classifier"}
    if module in fixed:
        return fixed[module] + "." + leaf
    index = int(module[2:].replace("_bn", ""))
    blocks = [1, 2, 2, 6, 2]
    stage = 0
    while index >= blocks[stage]:
        index -= blocks[stage]
        stage += 1
    kind = {"dw": ("conv_dw", "bn1"), "pw": ("conv_pw", "bn2")}[module[:2]]
    return "blocks.%d.%d.%s.%s" % (stage, index,
                                   kind[module.endswith("_bn")], leaf)


def timm_vgg(name):
    for ours, theirs in (("classifier.0", "pre_logits.fc1"),
                         ("classifier.3", "pre_logits.fc2"),
                         ("classifier.6", "head.fc")):
        name = name.replace(ours, theirs)
    return name


def timm_vgg_array(name, array):
    if name == "classifier.0.weight":
        return array.reshape(len(array), -1, POOLED, POOLED)
    if name == "classifier.3.weight":
        return array[:, :, None, None]
    return array


def keras_mobilenet_v1(shapes, arrays=None):
    writer = KerasWriter(shapes, arrays)
    writer.conv("conv1", "stem", 32, 3, 3)
    writer.batch_norm("conv1_bn", "stem_bn")
    for i in range(13):
        for kind in ("dw", "pw"):
            keras, ours = "conv_%s_%d" % (kind, i + 1), "%s%d" % (kind, i)
            if kind == "dw":
                writer.depthwise(keras, ours)
            else:
                writer.conv(keras, ours, writer.shapes[ours + ".weight"][0],
                            1, 1)
            writer.batch_norm(keras + "_bn", ours + "_bn")
    weight = writer.take("fc.weight")
    writer.layers.append(("conv_preds", [
        ("kernel", weight.T[None, None]), ("bias", writer.take("fc.bias"))]))
    return writer


def keras_mobilenet_v2(shapes, arrays=None):
    writer = KerasWriter(shapes, arrays)
    names = {}
    for name in shapes:
        parts = timm_mobilenet_v2(name).rsplit(".", 1)[0]
        names[parts] = name.rsplit(".", 1)[0]

    def step(keras, batch_norm, theirs, their_norm):
        ours = names[theirs]
        if theirs.endswith("conv_dw"):
            writer.depthwise(keras, ours)
        else:
            shape = shapes[ours + ".weight"]
            writer.conv(keras, ours, shape[0], shape[2], shape[3])
        writer.batch_norm(batch_norm, names[their_norm])

    step("Conv1", "bn_Conv1", "conv_stem", "bn1")
    number = 0
    for stage, count in enumerate(V2_BLOCKS):
        for i in range(count):
            keras = "block_%d_" % number if number else "expanded_conv_"
            theirs = "blocks.%d.%d." % (stage, i)
            parts = [("expand", "conv_pw", "bn1"),
                     ("depthwise", "conv_dw", "bn2"),
                     ("project", "conv_pwl", "bn3")]
            if number == 0:
                parts = [("depthwise", "conv_dw", "bn1"),
                         ("project", "conv_pw", "bn2")]
            for kind, conv, norm in parts:
                step(keras + kind, keras + kind + "_BN", theirs + conv,
                     theirs + norm)
            number += 1
    step("Conv_1", "Conv_1_bn", "conv_head", "bn2")
    writer.dense("predictions", "classifier.1")
    return writer


def main(folder):
    path = folder + "/%s_%s"
    vgg("vgg16", (2, 2, 3, 3, 3)).write(path % ("keras", "vgg16"))
    vgg("vgg19", (2, 2, 4, 4, 4)).write(path % ("keras", "vgg19"),
                                        variable_names=True)
    resnet((3, 4, 6, 3), torchvision_shapes("resnet50")).write(
        path % ("keras", "resnet50"))
    resnet((3, 4, 23, 3), torchvision_shapes("resnet101")).write(
        path % ("keras", "resnet101"))
    resnet50_2015().write(path % ("keras2015", "resnet50"))
    densenet121(True).write(path % ("keras", "densenet121"))
    densenet121(False).write(path % ("keras3", "densenet121"))
    inception_v3(1).write(path % ("keras", "inception_v3"))
    inception_v3(0).write(path % ("keras0", "inception_v3"))
    xception().write(path % ("keras", "xception"), nested="model_weights")
    keras_mobilenet_v1(mobilenet_v1_shapes()).write(
        path % ("keras", "mobilenet_v1"))
    keras_mobilenet_v2(torchvision_shapes("mobilenet_v2")).write(
        path % ("keras", "mobilenet_v2"))

    write_renamed(path % ("timm", "mobilenet_v2"),
                  torchvision_shapes("mobilenet_v2"), timm_mobilenet_v2)
    write_renamed(path % ("timm", "efficientnet_b0"),
                  torchvision_shapes("efficientnet_b0"), timm_efficientnet_b0)
    write_renamed(path % ("timm", "mobilenet_v1"), mobilenet_v1_shapes(),
                  timm_mobilenet_v1)
    write_renamed(path % ("timm", "vgg16"), torchvision_shapes("vgg16"),
                  timm_vgg, timm_vgg_array)
    write_renamed(path % ("timm", "vgg19_bn"), torchvision_shapes("vgg19_bn"),
                  timm_vgg, timm_vgg_array)
    write_renamed(
        path % ("old", "densenet121"), torchvision_shapes("densenet121"),
        lambda name: name.replace(".norm1.", ".norm.1.")
        .replace(".norm2.", ".norm.2.").replace(".conv1.", ".conv.1.")
        .replace(".conv2.", ".conv.2."))
    write_renamed(
        path % ("cadene", "xception"), xception_shapes(),
        lambda name: name.replace("fc.", "last_linear."),
        lambda name, array: array[:, :, 0, 0]
        if name.endswith("pointwise.weight") else array)


if __name__ == "__main__":
    main(sys.argv[1])
