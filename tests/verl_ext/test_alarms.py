"""What a step's metrics say about a run that goes on without learning."""

from __future__ import annotations

import math

import pytest

from verl_ext.alarms import NUM_STEPS, Alarms, look_at_start


def step(**changes: float) -> dict[str, float]:
    metrics = {
        "actor/pg_loss": 0.1,
        "actor/grad_norm": 0.2,
        "episode/share_equal_groups": 0.5,
        "episode/reward/total": 0.4,
        "episode/metric/valid_query_rate": 0.6,
    }
    return metrics | {name.replace("__", "/"): value for name, value in changes.items()}


def test_a_healthy_step_says_nothing() -> None:
    alarms = Alarms()
    assert [alarms.check(step()) for _ in range(10)] == [[]] * 10


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_named(value: float) -> None:
    (problem,) = Alarms().check(step(actor__grad_norm=value))
    assert problem.startswith("actor/grad_norm is not a finite number")
    assert "checkpoint" in problem


def test_a_start_is_looked_at_before_it_trains() -> None:
    line, problem = look_at_start(0.62, 3, 8)
    assert "62% of its queries are valid, and 3 of 8 questions" in line
    assert problem is None
    assert "verl_ext.cold_start" in (look_at_start(0.0, 0, 8)[1] or "")
    assert "easier questions" in (look_at_start(0.6, 0, 8)[1] or "")


def test_a_policy_that_stops_exploring_is_named() -> None:
    alarms = Alarms()
    assert alarms.check(step(actor__entropy=0.5)) == []
    assert alarms.check(step()) == []  # not measured in this step
    assert alarms.check(step(actor__entropy=0.2)) == []
    (problem,) = alarms.check(step(actor__entropy=0.05))
    assert "entropy is 0.050" in problem
    assert "was 0.500" in problem


def test_an_engine_with_other_weights_is_named() -> None:
    alarms = Alarms()
    assert alarms.check(step(training__rollout_probs_diff_mean=0.01)) == []
    (problem,) = alarms.check(step(training__rollout_probs_diff_mean=0.2))
    assert "engine and actor differ by 0.200" in problem


def test_an_outage_is_the_first_cause_to_look_at() -> None:
    alarms = Alarms()
    lost = step(
        episode__share_equal_groups=0.5,  # some lost episodes earned something, and teach nothing
        episode__share_taught=0.0,
        episode__reward__total=0.0,
        episode__metric__valid_query_rate=0.0,
        episode__metric__num_searches=0.9,
        episode__metric__num_kg_failures=0.8,
    )
    said = [alarms.check(lost) for _ in range(NUM_STEPS)]
    assert "the KG was out of reach" in said[-1][0]


@pytest.mark.parametrize(
    ("reward", "valid", "words"),
    [(2.0, 1.0, "temperature"), (0.0, 0.0, "cold start"), (0.0, 0.9, "rollout.n")],
)
def test_groups_that_stay_equal_are_told_with_a_cause(reward: float, valid: float, words: str) -> None:
    alarms = Alarms()
    equal = step(
        episode__share_equal_groups=1.0,
        episode__reward__total=reward,
        episode__metric__valid_query_rate=valid,
    )
    said = [alarms.check(equal) for _ in range(NUM_STEPS)]
    assert said[:-1] == [[]] * (NUM_STEPS - 1)
    assert words in said[-1][0]


def test_it_is_said_once_in_so_many_steps() -> None:
    alarms = Alarms()
    equal = step(episode__share_equal_groups=1.0)
    assert [len(alarms.check(equal)) for _ in range(2 * NUM_STEPS)] == [0, 0, 1, 0, 0, 1]


def test_one_step_that_differs_ends_it() -> None:
    alarms = Alarms()
    equal = step(episode__share_equal_groups=1.0)
    said = [alarms.check(equal), alarms.check(equal), alarms.check(step()), alarms.check(equal)]
    assert said == [[]] * 4
