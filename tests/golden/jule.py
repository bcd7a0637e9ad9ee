"""Golden values of JULE's loss and training step from torch 1.13.1 (autograd):
python3 tests/golden/jule.py"""

import numpy
import torch

import golden_header

SEED = 5
STEPS, RATE, MOMENTUM, DECAY, LIMIT = 4, 0.3, 0.9, 0.01, 0.5
GAMMA, MARGIN = 1.5, 0.2
ROWS, WIDTHS, TRIPLETS = 9, (6, 5, 4), 40

random = numpy.random.RandomState(SEED)


def draw(*shape):
    return torch.tensor(random.normal(size=shape).round(3))


def loss(z, triplets):
    a, p, n = (z[triplets[:, i]] for i in range(3))
    value = GAMMA * ((a - p) ** 2).sum(1) - ((a - n) ** 2).sum(1) + MARGIN
    return value.clamp(min=0).mean()


labels = numpy.arange(ROWS) % 3
triplets = []
while len(triplets) < TRIPLETS:
    a, p, n = random.randint(ROWS, size=3)
    if a != p and labels[a] == labels[p] and labels[a] != labels[n]:
        triplets.append((a, p, n))
triplets = numpy.array(triplets)
index = torch.tensor(triplets)

z = draw(ROWS, 3).requires_grad_()
value = loss(z, index)
value.backward()

x = draw(ROWS, WIDTHS[0])
layers = [
    [draw(out, inputs).requires_grad_(), draw(out).requires_grad_()]
    for inputs, out in zip(WIDTHS, WIDTHS[1:])
]
weights = [w for layer in layers for w in layer]
entries = [
    ("kRows", ROWS),
    ("kTriplets", triplets),
    ("kTripletCount", TRIPLETS),
    ("kGamma", GAMMA),
    ("kMargin", MARGIN),
    ("kZ", z.detach().numpy()),
    ("kLoss", value.item()),
    ("kGradient", z.grad.numpy()),
    ("kSteps", STEPS),
    ("kRate", RATE),
    ("kMomentum", MOMENTUM),
    ("kDecay", DECAY),
    ("kLimit", LIMIT),
    ("kInput", x.numpy()),
]
for i, w in enumerate(weights):
    entries.append((f"kStart{i}", w.detach().numpy().copy()))

# Weight decay is not part of the gradient that is limited, so it is no
# weight_decay of the optimizer's.
optimizer = torch.optim.SGD(weights, lr=RATE, momentum=MOMENTUM)
lengths, losses = [], []
for step in range(STEPS):
    optimizer.zero_grad()
    hidden = torch.relu(x @ layers[0][0].T + layers[0][1])
    raw = hidden @ layers[1][0].T + layers[1][1]
    value = loss(raw / raw.norm(dim=1, keepdim=True), index)
    value.backward()
    length = torch.sqrt(sum((w.grad**2).sum() for w in weights))
    for w in weights:
        w.grad *= min(1, LIMIT / length)
        w.grad += DECAY * w.detach()
    optimizer.step()
    lengths.append(length.item())
    losses.append(value.item())
assert min(lengths) < LIMIT < max(lengths), lengths
entries.append(("kLosses", numpy.array(losses)))
for i, w in enumerate(weights):
    entries.append((f"kEnd{i}", w.detach().numpy()))
golden_header.write(__file__, SEED, "jule", entries)
