"""Writes the same tensors in every layout that torch.save has, and bad ones.

usage: torch_files.py FOLDER

Good: NAME.pth and expected.safetensors with what each must give as float32.
Bad: bad_NAME.pth, whose reading would run something. Made at test time with
the installed torch (1.13 in Debian 12), seed 3.
Exit status 77: torch is not installed.
"""
import builtins
import collections
import os
import pickle
import sys

try:
    import torch
except ImportError:
    sys.exit(77)

from tensor_files import write_safetensors


def tensors():
    base = torch.randn(6, 8)
    half = torch.randn(5, 3).half()
    half[0, 0] = 6e-8  # subnormal
    return collections.OrderedDict([
        ("plain", torch.randn(3, 4)),
        ("odd", torch.tensor([float("inf"), -float("inf"), -0.0, 1e-45])),
        ("transposed", base.t()),
        ("part", base[2:5, 1:7:2]),
        ("whole", base),
        ("channels_last",
         torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)),
        ("half", half),
        ("bfloat16", torch.randn(7).bfloat16()),
        ("double", torch.randn(4).double()),
        ("scalar", torch.tensor(2.5)),
        ("none", torch.zeros(0, 3)),
        ("parameter", torch.nn.Parameter(torch.randn(2, 2))),
    ])


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


class HasState:
    """Pickles as an object of a class of its own."""


def main(folder):
    torch.manual_seed(3)
    good = tensors()
    expected = {name: tensor.detach().float() for name, tensor in good.items()}
    write_safetensors(folder + "/expected.safetensors", expected)

    save = torch.save
    save(good, folder + "/zip.pth")
    for protocol in (1, 3, 4, 5):
        save(good, folder + "/zip_protocol%d.pth" % protocol,
             pickle_protocol=protocol)
        save(good, folder + "/legacy_protocol%d.pth" % protocol,
             pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    save(good, folder + "/legacy.pth", _use_new_zipfile_serialization=False)
    save(dict(good), folder + "/dict.pth")
    for key in ("state_dict", "model_state_dict", "model"):
        wrapped = {"module." + name: tensor for name, tensor in good.items()}
        save({"epoch": 3, "arch": "x", "best": 0.7, "flags": (True, None),
              "optimizer": {"state": {}, "groups": [{"lr": 0.1}]},
              key: wrapped}, folder + "/checkpoint_%s.pth" % key)

    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    save(net.state_dict(), folder + "/net.pth")
    write_safetensors(
        folder + "/net.safetensors",
        {name: tensor for name, tensor in net.state_dict().items()})

    mark = folder + "/was_run"
    bad = {
        "system": Calls(os.system, "touch " + mark),
        "eval": Calls(builtins.eval, "open(%r, 'w')" % mark),
        "exec": Calls(builtins.exec, "open(%r, 'w')" % mark),
        "getattr": Calls(builtins.getattr, "text", "upper"),
        "module": net,
        "object": HasState(),
        "set": {1, 2},
        "complex": complex(1, 2),
        "size": torch.Size([1]),
        "bytearray": bytearray(b"x"),
    }
    for name, value in bad.items():
        for new in (True, False):
            path = "%s/bad_%s_%s.pth" % (folder, name, "zip" if new else "old")
            save({"w": good["plain"], "bad": value}, path,
                 _use_new_zipfile_serialization=new)
    torch.jit.save(torch.jit.trace(net.eval(), torch.zeros(1, 3, 8, 8)),
                   folder + "/script.pt")
    save([1, 2], folder + "/list.pth")
    save({"a": 1}, folder + "/no_tensors.pth")
    with open(folder + "/plain.pkl", "wb") as file:
        pickle.dump({"a": 1}, file)


main(sys.argv[1])
