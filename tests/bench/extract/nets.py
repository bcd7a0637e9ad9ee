"""torchvision's nets up to the feature that Shoal takes from them."""
import torch
import torchvision

SIDE = 224


def feature_net(name):
    """The whole net and the part that ends in the feature."""
    whole = getattr(torchvision.models, name)(weights=None)
    if name == "resnet50":
        parts = list(whole.children())[:-1] + [torch.nn.Flatten()]
    elif name == "mobilenet_v2":
        parts = [whole.features, torch.nn.AdaptiveAvgPool2d(1),
                 torch.nn.Flatten()]
    elif name == "vgg16":
        # Up to the activation before the classifier's last layer.
        parts = [whole.features, whole.avgpool, torch.nn.Flatten()] + [
            module for module in whole.classifier[:5]
            if not isinstance(module, torch.nn.Dropout)]
    else:
        raise SystemExit(f"no contest for {name}")
    whole.eval()
    return whole, torch.nn.Sequential(*parts)
