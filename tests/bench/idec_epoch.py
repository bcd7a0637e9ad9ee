"""Seconds per epoch of IDEC's second phase in PyTorch, for comparison with
idec_bench: python3 tests/bench/idec_epoch.py [rows] [threads]

The same net (784-500-500-2000-10 and its mirror image), batches of 256, Adam,
the target renewed every 140 updates. The images are random: that costs the
same.
"""

import sys
import time

import torch
import torch.nn.functional as F

ROWS = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
torch.set_num_threads(int(sys.argv[2]) if len(sys.argv) > 2 else 2)
WIDTHS, BATCH, CLUSTERS, INTERVAL, UPDATES = (784, 500, 500, 2000, 10), 256, 10, 140, 280


def net(widths):
    layers = []
    for n_in, n_out in zip(widths, widths[1:]):
        layers += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def soft_assignment(codes, centres):
    q = 1 / (1 + ((codes[:, None, :] - centres[None]) ** 2).sum(2))
    return q / q.sum(1, keepdim=True)


torch.manual_seed(0)
data = torch.rand(ROWS, WIDTHS[0])
encoder, decoder = net(WIDTHS), net(WIDTHS[::-1])
centres = torch.nn.Parameter(torch.randn(CLUSTERS, WIDTHS[-1]))
adam = torch.optim.Adam([*encoder.parameters(), *decoder.parameters(), centres], lr=1e-3)
start = time.perf_counter()
done = 0
while done < UPDATES:
    for rows in torch.randperm(ROWS).split(BATCH):
        if done % INTERVAL == 0:
            with torch.no_grad():
                q = soft_assignment(encoder(data), centres)
                p = q**2 / q.sum(0)
                p = p / p.sum(1, keepdim=True)
        batch = data[rows]
        codes = encoder(batch)
        divergence = F.kl_div(soft_assignment(codes, centres).log(), p[rows], reduction="batchmean")
        loss = F.mse_loss(decoder(codes), batch) + 0.1 * divergence
        adam.zero_grad()
        loss.backward()
        adam.step()
        done += 1
        if done == UPDATES:
            break
seconds = time.perf_counter() - start
print(f"PyTorch {torch.__version__}: {seconds / UPDATES * ROWS / BATCH:.3f} s an epoch")
