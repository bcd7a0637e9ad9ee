"""Nets that torchvision lacks, and TensorFlow's padding, for net_reference.py.

Written from the papers and the layers' definitions, independently of engine/:
every step is a module or function of torch with explicit padding.
"""
import torch
from torch import nn
from torch.nn import functional as F


def pad_same(x, kernel, stride, value):
    """TensorFlow's SAME: ceil(size / stride) outputs, the odd pixel last."""
    pads = []
    for size in (x.shape[3], x.shape[2]):
        outputs = -(-size // stride)
        total = max((outputs - 1) * stride + kernel - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads, value=value)


class SameConv2d(nn.Conv2d):
    def forward(self, x):
        x = pad_same(x, self.kernel_size[0], self.stride[0], 0.0)
        return F.conv2d(
            x, self.weight, self.bias, self.stride, 0, 1, self.groups)


class SameMaxPool2d(nn.MaxPool2d):
    def forward(self, x):
        x = pad_same(x, self.kernel_size, self.stride, float("-inf"))
        return F.max_pool2d(x, self.kernel_size, self.stride)


def with_same_padding(net):
    """The net with SAME in place of every symmetric padding."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and module.padding != (0, 0):
            module.__class__ = SameConv2d
        elif isinstance(module, nn.MaxPool2d) and module.padding != 0:
            module.__class__ = SameMaxPool2d
    return net


class GreyToLuma(nn.Module):
    """RGB to BT.601 luma in front of a net for grey images."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        red, green, blue = x.split(1, 1)
        return self.net(0.299 * red + 0.587 * green + 0.114 * blue)


class LeNet(nn.Module):
    """LeNet-5 with full connections, on 32 x 32."""

    def __init__(self, classes, channels=3, activation=torch.relu,
                 pool=F.max_pool2d):
        super().__init__()
        self.activation, self.pool = activation, pool
        self.conv1 = nn.Conv2d(channels, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def forward(self, x):
        x = self.pool(self.activation(self.conv1(x)), 2)
        x = self.pool(self.activation(self.conv2(x)), 2)
        x = self.activation(self.fc1(x.flatten(1)))
        return self.fc3(self.activation(self.fc2(x)))


class MobileNetV1(nn.Module):
    """Howard et al. 2017, table 1."""

    STEPS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
             (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2),
             (1024, 1)]

    def __init__(self, classes):
        super().__init__()
        self.order = []

        def add(name, *arguments, **options):
            setattr(self, name, nn.Conv2d(*arguments, bias=False, **options))
            setattr(self, name + "_bn",
                    nn.BatchNorm2d(arguments[1], eps=1e-3))
            self.order.append(name)

        add("stem", 3, 32, 3, stride=2, padding=1)
        width = 32
        for i, (channels, stride) in enumerate(self.STEPS):
            add(f"dw{i}", width, width, 3, stride=stride, padding=1,
                groups=width)
            add(f"pw{i}", width, channels, 1)
            width = channels
        self.fc = nn.Linear(width, classes)

    def forward(self, x):
        for name in self.order:
            x = F.relu6(getattr(self, name + "_bn")(getattr(self, name)(x)))
        return self.fc(x.mean((2, 3)))


class Separable(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv1 = nn.Conv2d(
            inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x):
        return self.pointwise(self.conv1(x))


class XceptionBlock(nn.Module):
    """ReLU, separable convolution, batch norm for each of `widths`[1:]."""

    def __init__(self, widths, stride=1, first_relu=True):
        super().__init__()
        steps = []
        for inputs, outputs in zip(widths, widths[1:]):
            steps += [nn.ReLU(), Separable(inputs, outputs),
                      nn.BatchNorm2d(outputs)]
        if not first_relu:
            steps = steps[1:]
        self.skip = None
        if stride != 1:
            steps.append(nn.MaxPool2d(3, stride, 1))
            self.skip = nn.Conv2d(
                widths[0], widths[-1], 1, stride=stride, bias=False)
            self.skipbn = nn.BatchNorm2d(widths[-1])
        self.rep = nn.Sequential(*steps)

    def forward(self, x):
        return self.rep(x) + (self.skipbn(self.skip(x)) if self.skip else x)


class Xception(nn.Module):
    """Chollet 2016, figure 5, with the names of the PyTorch ports."""

    def __init__(self, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, stride=2, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 64, 3, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.block1 = XceptionBlock([64, 128, 128], 2, first_relu=False)
        self.block2 = XceptionBlock([128, 256, 256], 2)
        self.block3 = XceptionBlock([256, 728, 728], 2)
        for i in range(4, 12):
            setattr(self, f"block{i}", XceptionBlock([728] * 4))
        self.block12 = XceptionBlock([728, 728, 1024], 2)
        self.conv3 = Separable(1024, 1536)
        self.bn3 = nn.BatchNorm2d(1536)
        self.conv4 = Separable(1536, 2048)
        self.bn4 = nn.BatchNorm2d(2048)
        self.fc = nn.Linear(2048, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        for i in range(1, 13):
            x = getattr(self, f"block{i}")(x)
        x = F.relu(self.bn3(self.conv3(x)))
        x = F.relu(self.bn4(self.conv4(x)))
        return self.fc(x.mean((2, 3)))


class AlexNetBvlc(nn.Module):
    """BVLC's AlexNet up to its last pool."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 11, stride=4)
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2, groups=2)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1, groups=2)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1, groups=2)
        self.norm = nn.LocalResponseNorm(5, 1e-4, 0.75)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)

    def forward(self, x):
        x = self.pool(self.norm(torch.relu(self.conv1(x))))
        x = self.pool(self.norm(torch.relu(self.conv2(x))))
        x = torch.relu(self.conv3(x))
        x = torch.relu(self.conv4(x))
        return self.pool(torch.relu(self.conv5(x))).flatten(1)


class GoogLeNetBvlc(nn.Module):
    """BVLC's GoogLeNet without its auxiliary heads."""

    # name: inputs; 1x1; 3x3 reduced, 3x3; 5x5 reduced, 5x5; after the pool
    BLOCKS = {
        "3a": (192, 64, 96, 128, 16, 32, 32),
        "3b": (256, 128, 128, 192, 32, 96, 64),
        "4a": (480, 192, 96, 208, 16, 48, 64),
        "4b": (512, 160, 112, 224, 24, 64, 64),
        "4c": (512, 128, 128, 256, 24, 64, 64),
        "4d": (512, 112, 144, 288, 32, 64, 64),
        "4e": (528, 256, 160, 320, 32, 128, 128),
        "5a": (832, 256, 160, 320, 32, 128, 128),
        "5b": (832, 384, 192, 384, 48, 128, 128),
    }

    def __init__(self, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3)
        self.conv2r = nn.Conv2d(64, 64, 1)
        self.conv2 = nn.Conv2d(64, 192, 3, padding=1)
        for name, (i, c1, r3, c3, r5, c5, cp) in self.BLOCKS.items():
            setattr(self, "inc" + name, nn.ModuleDict({
                "b1": nn.Conv2d(i, c1, 1),
                "b3r": nn.Conv2d(i, r3, 1),
                "b3": nn.Conv2d(r3, c3, 3, padding=1),
                "b5r": nn.Conv2d(i, r5, 1),
                "b5": nn.Conv2d(r5, c5, 5, padding=2),
                "pp": nn.Conv2d(i, cp, 1),
            }))
        self.fc = nn.Linear(1024, classes)
        self.norm = nn.LocalResponseNorm(5, 1e-4, 0.75)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)

    def block(self, name, x):
        layers = getattr(self, "inc" + name)

        def apply(branch, x):
            return torch.relu(layers[branch](x))

        return torch.cat([
            apply("b1", x),
            apply("b3", apply("b3r", x)),
            apply("b5", apply("b5r", x)),
            apply("pp", F.max_pool2d(x, 3, 1, 1)),
        ], 1)

    def forward(self, x):
        x = self.norm(self.pool(torch.relu(self.conv1(x))))
        x = torch.relu(self.conv2r(x))
        x = self.pool(self.norm(torch.relu(self.conv2(x))))
        for name in self.BLOCKS:
            x = self.block(name, x)
            if name in ("3b", "4e"):
                x = self.pool(x)
        return self.fc(x.mean((2, 3)))
