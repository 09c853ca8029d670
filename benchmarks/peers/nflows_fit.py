#!/usr/bin/env python3
"""nflows on the task of benchmarks/real_data.cpp, for its seconds beside ours in the same hour.

    build/peers/bin/python benchmarks/peers/nflows_fit.py <folder of data sets> [magic | htru2] [updates] [threads]

RQ-NSF (C) of the same size and the same settings; fold 0 tests, fold 1 chooses the best of every 1000 updates, folds 2-9
train.
"""

import copy
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from nflows import transforms
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.nn.nets import ResidualNet

LAYERS, HIDDEN, BLOCKS, BATCH, RATE, CHECKED = 5, 64, 2, 256, 5e-4, 1000


def read(path):
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    fold, values = table[:, 0], table[:, 1:]
    parts = values[fold >= 2], values[fold == 1], values[fold == 0]
    mean, deviation = parts[0].mean(0), parts[0].std(0)
    return [torch.tensor((p - mean) / deviation, dtype=torch.float32) for p in parts]


def build(columns):
    def network(inputs, outputs):
        return ResidualNet(inputs, outputs, HIDDEN, num_blocks=BLOCKS)

    layers = []
    for i in range(LAYERS):
        layers += [transforms.RandomPermutation(columns), transforms.LULinear(columns, identity_init=True)]
        mask = (torch.arange(columns) % 2 == i % 2).int()
        layers.append(
            transforms.PiecewiseRationalQuadraticCouplingTransform(
                mask, network, num_bins=8, tails="linear", tail_bound=3.0, apply_unconditional_transform=True
            )
        )
    layers += [transforms.RandomPermutation(columns), transforms.LULinear(columns, identity_init=True)]
    return Flow(transforms.CompositeTransform(layers), StandardNormal([columns]))


def main():
    folder = Path(sys.argv[1])
    name = sys.argv[2] if len(sys.argv) > 2 else "magic"
    updates = int(sys.argv[3]) if len(sys.argv) > 3 else 10000
    torch.set_num_threads(int(sys.argv[4]) if len(sys.argv) > 4 else 2)
    torch.manual_seed(1)
    train, validation, test = read(folder / f"{name}.csv")
    flow = build(train.shape[1])
    optimizer = torch.optim.Adam(flow.parameters(), lr=RATE, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)

    def score(rows):
        flow.eval()
        with torch.inference_mode():
            result = flow.log_prob(rows)
        flow.train()
        return result

    best, kept = -math.inf, None
    start = time.perf_counter()
    order = torch.empty(0, dtype=torch.long)
    for update in range(1, updates + 1):
        if len(order) < BATCH:
            order = torch.randperm(len(train))
        rows, order = order[:BATCH], order[BATCH:]
        optimizer.zero_grad(set_to_none=True)
        (-flow.log_prob(train[rows]).mean()).backward()
        torch.nn.utils.clip_grad_norm_(flow.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        if update % CHECKED == 0 and (value := score(validation).mean().item()) > best:
            best, kept = value, copy.deepcopy(flow.state_dict())
    seconds = time.perf_counter() - start
    flow.load_state_dict(kept)
    result = score(test)
    error = 2 * result.std().item() / math.sqrt(len(result))
    print(
        f"nflows RQ-NSF (C)-5 {name}: test {result.mean().item():.3f} +- {error:.3f}, validation {best:.3f},"
        f" {updates} updates of {BATCH} in {seconds:.0f} s ({1e3 * seconds / updates:.1f} ms each)"
    )


if __name__ == "__main__":
    main()
