"""Golden steps of DEC, IDEC and DCN in PyTorch: python3 tests/golden/embedded.py

A small autoencoder with fixed weights takes STEPS steps on one batch by each
method; autograd and torch.optim.Adam (PyTorch 1.13) give, in double precision,
what the C++ code must give.
"""

import copy

import numpy
import torch
import torch.nn.functional as F

import golden_header

SEED = 11
STEPS = 3
ROWS, WIDTHS, CLUSTERS = 12, (6, 5, 3), 4
RATE, WEIGHT = 1e-2, 0.1

torch.set_default_dtype(torch.float64)
torch.manual_seed(SEED)
random = numpy.random.RandomState(SEED)


def linear(n_in, n_out):
    layer = torch.nn.Linear(n_in, n_out)
    with torch.no_grad():
        layer.weight.copy_(
            torch.tensor(random.uniform(-0.8, 0.8, (n_out, n_in)).round(4))
        )
        layer.bias.copy_(torch.tensor(random.uniform(-0.2, 0.2, n_out).round(4)))
    return layer


encoder = torch.nn.Sequential(
    linear(WIDTHS[0], WIDTHS[1]), torch.nn.ReLU(), linear(WIDTHS[1], WIDTHS[2])
)
decoder = torch.nn.Sequential(
    linear(WIDTHS[2], WIDTHS[1]), torch.nn.ReLU(), linear(WIDTHS[1], WIDTHS[0])
)
data = torch.tensor(random.normal(size=(ROWS, WIDTHS[0])).round(4))
centroids = torch.tensor(random.normal(size=(CLUSTERS, WIDTHS[2])).round(4))
counts = [5, 3, 2, 2]
labels = [int(label) for label in random.randint(0, CLUSTERS, ROWS)]


def soft_assignment(codes, centres):
    q = 1 / (1 + ((codes[:, None, :] - centres[None]) ** 2).sum(2))
    return q / q.sum(1, keepdim=True)


def target_distribution(q):
    weight = q**2 / q.sum(0)
    return weight / weight.sum(1, keepdim=True)


def parameters_of(net):
    return torch.cat([p.detach().ravel() for p in net.parameters()]).numpy()


q = soft_assignment(encoder(data), centroids).detach()
target = target_distribution(q)
entries = [
    ("kRows", ROWS),
    ("kIn", WIDTHS[0]),
    ("kHidden", WIDTHS[1]),
    ("kCode", WIDTHS[2]),
    ("kClusters", CLUSTERS),
    ("kSteps", STEPS),
    ("kRate", RATE),
    ("kWeight", WEIGHT),
    ("kData", data.numpy()),
    ("kEncoder", parameters_of(encoder)),
    ("kDecoder", parameters_of(decoder)),
    ("kCentroids", centroids.numpy()),
    ("kCounts", numpy.array(counts)),
    ("kLabels", numpy.array(labels)),
    ("kCodes", encoder(data).detach().numpy()),
    ("kQ", q.numpy()),
    ("kP", target.numpy()),
]


def train(method):
    up, down = copy.deepcopy(encoder), copy.deepcopy(decoder)
    centres = centroids.clone().requires_grad_(method != "Dcn")
    count, assigned = list(counts), list(labels)
    moved = list(up.parameters())
    moved += [] if method == "Dec" else list(down.parameters())
    moved += [] if method == "Dcn" else [centres]
    adam = torch.optim.Adam(moved, lr=RATE)
    losses = []
    for _ in range(STEPS):
        adam.zero_grad()
        codes = up(data)
        if method == "Dcn":
            reconstruction = ((down(codes) - data) ** 2).sum(1).mean()
            clustering = ((codes - centres[assigned]) ** 2).sum(1).mean()
            loss = reconstruction + WEIGHT / 2 * clustering
        else:
            clustering = F.kl_div(
                soft_assignment(codes, centres).log(),
                target,
                reduction="batchmean",
            )
            reconstruction = F.mse_loss(down(codes), data)
            loss = clustering
            if method == "Idec":
                loss = reconstruction + WEIGHT * clustering
        loss.backward()
        adam.step()
        losses.append(
            [0 if method == "Dec" else reconstruction.item(), clustering.item()]
        )
        if method == "Dcn":
            with torch.no_grad():
                codes = up(data)
                assigned = [
                    int(((z - centres) ** 2).sum(1).argmin()) for z in codes
                ]
                for z, j in zip(codes, assigned):
                    count[j] += 1
                    centres[j] += (z - centres[j]) / count[j]
    entries.extend(
        [
            (f"k{method}Losses", numpy.array(losses)),
            (f"k{method}Encoder", parameters_of(up)),
            (f"k{method}Decoder", parameters_of(down)),
            (f"k{method}Centroids", centres.detach().numpy()),
        ]
    )
    if method == "Dcn":
        entries.append(("kDcnLabels", numpy.array(assigned)))


for name in ("Dec", "Idec", "Dcn"):
    train(name)
golden_header.write(__file__, SEED, "embedded", entries)
