"""pass@k: how likely some of k samples is right, estimated from n >= k of them without bias.

Chen et al. 2021, "Evaluating Large Language Models Trained on Code", equation 1.
"""

from __future__ import annotations

from math import comb


def pass_at_k(num_samples: int, num_right: int, k: int) -> float:
    """The chance that k of a question's samples, drawn without replacement, hold a right one.

    ``1 - C(n - c, k) / C(n, k)``: the mean over all subsets of size k, hence an unbiased estimate of
    ``1 - (1 - p)^k`` for samples that are each right with probability p.

    Raises:
        ValueError: unless ``0 <= num_right <= num_samples`` and ``1 <= k <= num_samples``.
    """
    if not 0 <= num_right <= num_samples or not 1 <= k <= num_samples:
        raise ValueError(f"pass@k is not defined for {num_right} right of {num_samples} samples and k = {k}")
    return 1.0 - comb(num_samples - num_right, k) / comb(num_samples, k)


def powers_of_two(num_samples: int) -> list[int]:
    """1, 2, 4, ... up to ``num_samples``: the k that are reported."""
    return [1 << power for power in range(num_samples.bit_length())]
