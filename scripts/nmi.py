#!/usr/bin/env python3
"""Normalised mutual information of two labellings.

Reads lines "truth<TAB>label" from the files named, or standard input, and
prints one number: I(truth; label) / sqrt(H(truth) * H(label)), the geometric
form that both papers report. 1 when both sides have a single value each (the
labellings agree), 0 when only one side has.
"""

import math
import sys
from collections import Counter


def entropy(counts, n):
    return -sum(c / n * math.log(c / n) for c in counts.values())


def nmi(pairs):
    """pairs: list of (truth, label), at least one."""
    n = len(pairs)
    truths = Counter(truth for truth, _ in pairs)
    labels = Counter(label for _, label in pairs)
    if len(truths) == 1 or len(labels) == 1:
        return 1.0 if len(truths) == len(labels) else 0.0
    shared = 0.0
    for (truth, label), c in Counter(pairs).items():
        shared += c / n * math.log(c * n / (truths[truth] * labels[label]))
    return max(0.0, shared) / math.sqrt(entropy(truths, n) * entropy(labels, n))


def read_pairs(lines):
    pairs = []
    for number, line in enumerate(lines, 1):
        line = line.rstrip("\r\n")
        if not line:
            continue
        fields = line.split("\t")
        if len(fields) != 2:
            raise ValueError(f"line {number}: expects truth<TAB>label")
        pairs.append((fields[0], fields[1]))
    if not pairs:
        raise ValueError("no lines")
    return pairs


def main(arguments):
    try:
        lines = []
        for name in arguments:
            with open(name, encoding="utf-8") as file:
                lines.extend(file)
        pairs = read_pairs(lines if arguments else sys.stdin)
    except (OSError, ValueError) as error:
        print(f"nmi.py: {error}", file=sys.stderr)
        return 1
    print(f"{nmi(pairs):.6f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
