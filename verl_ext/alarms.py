"""Signs that a run has stopped learning, each told with its likely causes.

A run that goes wrong seldom ends: it goes on at full cost with a loss that is no number, or with groups of
rollouts that all earned the same. These checks read a step's metrics and change nothing.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

LOSSES = ("actor/pg_loss", "actor/grad_norm", "critic/vf_loss")
EQUAL_GROUPS = "episode/share_equal_groups"
TAUGHT = "episode/share_taught"  # 0 as well where what differed was lost episodes alone
NUM_STEPS = 3  # one step that teaches nothing is chance; this many in a row is a state
ENTROPY = "actor/entropy"  # nats a token
MIN_ENTROPY_SHARE = 0.2  # of the first that was measured
MIN_VALID = 0.1  # share of queries below which a policy cannot be said to search
GAP = "training/rollout_probs_diff_mean"
# Of a probability. Engine and actor in bfloat16 differ by .004 to .01 (docs/log.md); old weights by far more.
MAX_GAP = 0.05


class Alarms:
    """Reads the metrics of one step after another."""

    def __init__(self) -> None:
        self._was_empty: deque[bool] = deque(maxlen=NUM_STEPS)
        self._first_entropy: float | None = None

    def check(self, metrics: Mapping[str, Any]) -> list[str]:
        """One line for each thing that is wrong with the step; none for a healthy one."""
        problems = []
        bad = [name for name in LOSSES if name in metrics and not math.isfinite(float(metrics[name]))]
        if bad:
            problems.append(
                f"{', '.join(bad)} is not a finite number, and verl skips such an update; if it comes again, "
                "resume from an earlier checkpoint with a smaller actor.optim.lr"
            )
        if EQUAL_GROUPS in metrics:
            self._was_empty.append(metrics[EQUAL_GROUPS] == 1.0 or metrics.get(TAUGHT, 1.0) == 0.0)
            if len(self._was_empty) == NUM_STEPS and all(self._was_empty):
                problems.append(_collapse(metrics))
                self._was_empty.clear()  # said once in so many steps, not in each
        return problems + self._check_policy(metrics)

    def _check_policy(self, metrics: Mapping[str, Any]) -> list[str]:
        """What the steps say in which the actor's own probabilities were computed."""
        problems = []
        if ENTROPY in metrics:
            entropy = float(metrics[ENTROPY])
            first = self._first_entropy = entropy if self._first_entropy is None else self._first_entropy
            if entropy < MIN_ENTROPY_SHARE * first:
                problems.append(
                    f"the policy's entropy is {entropy:.3f} nats a token and was {first:.3f}: it hardly "
                    "explores; go back to an earlier checkpoint with a smaller actor.optim.lr or a higher "
                    "rollout.temperature"
                )
        gap = float(metrics.get(GAP, 0.0))
        if gap > MAX_GAP:
            problems.append(
                f"engine and actor differ by {gap:.3f} in the probability of a sampled token: the engine has "
                "other weights or other settings than the actor; set algorithm.rollout_correction."
                "bypass_mode=false, and look whether weights are synchronised (timing_s/update_weights)"
            )
        return problems


def look_at_start(valid: float, num_told_apart: int, num_questions: int) -> tuple[str, str | None]:
    """What a start is worth, from its first validation and the rollouts before its first update.

    Args:
        valid: share of valid queries.
        num_told_apart: questions whose rollouts did not all earn the same.
        num_questions: of the first step.

    Returns:
        A line that says so, and another for a start from which nothing can be learned, else None.
    """
    line = (
        f"the start: {valid:.0%} of its queries are valid, and {num_told_apart} of {num_questions} questions "
        "have rollouts that earned differently"
    )
    if num_told_apart:
        return line, None
    if valid < MIN_VALID:
        cause = (
            "hardly a query is valid: begin with a cold start (python -m verl_ext.walks, then "
            "verl_ext.cold_start), or with a prompt that the model follows (search.prompt_style=full)"
        )
    else:
        cause = "take easier questions first, or raise rollout.n or rollout.temperature"
    return line, f"nothing can be learned from these rollouts, which all earned the same: {cause}"


def _collapse(metrics: Mapping[str, Any]) -> str:
    """Why no question's rollouts can be told apart, as far as the metrics tell."""
    reward = float(metrics.get("episode/reward/total", math.nan))
    failures = float(metrics.get("episode/metric/num_kg_failures", 0.0))
    searches = float(metrics.get("episode/metric/num_searches", 0.0))
    valid = float(metrics.get("episode/metric/valid_query_rate", math.nan))
    if failures > 0.5 * searches:
        cause = "the KG was out of reach: look at its server"
    elif reward > 0:
        cause = "all are right or all alike: raise rollout.temperature, or take harder questions"
    elif valid < MIN_VALID:
        cause = "hardly a query is valid: begin with a longer cold start (python -m verl_ext.cold_start)"
    else:
        cause = "none is right: take easier questions first, or raise rollout.n"
    return f"in {NUM_STEPS} steps no question had rollouts to tell apart, so nothing was learned ({cause})"
