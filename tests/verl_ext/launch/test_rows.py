"""Steps that the rows are good for."""

from __future__ import annotations

import pytest

from kg_r1.kg.errors import DataError
from tests.verl_ext import tiny
from tests.verl_ext.launch.conftest import SmallRun
from verl_ext.launch.errors import LaunchError
from verl_ext.launch.rows import count_steps, count_training_rows


@pytest.mark.parametrize(
    ("overrides", "num_steps"),
    [
        # Eight rows in batches of three: two a epoch, and two rows left out of it.
        (["data.train_batch_size=3", "trainer.total_epochs=3", "trainer.total_training_steps=6"], 6),
        (["data.train_batch_size=3", "trainer.total_epochs=3", "trainer.total_training_steps=null"], 6),
        (["data.train_batch_size=8", "trainer.total_epochs=5", "trainer.total_training_steps=5"], 5),
    ],
)
def test_the_last_step(small_run: SmallRun, overrides: list[str], num_steps: int) -> None:
    assert count_steps(small_run.config(*overrides)) == num_steps


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            ["data.train_batch_size=3", "trainer.total_epochs=3", "trainer.total_training_steps=7"],
            "_epochs=4",
        ),
        (
            ["data.train_batch_size=2", "data.train_max_samples=5", "trainer.total_training_steps=5"],
            "_epochs=3",
        ),
        (["data.train_batch_size=9", "trainer.total_training_steps=1"], "train_files has 8 rows"),
    ],
)
def test_epochs_that_end_first_are_refused_with_what_to_raise(
    small_run: SmallRun, overrides: list[str], words: str
) -> None:
    with pytest.raises(LaunchError, match=words):
        count_steps(small_run.config(*overrides))


def test_rows_of_several_files_count_together(small_run: SmallRun) -> None:
    both = f"data.train_files=[{small_run.train},{small_run.val}]"
    assert count_training_rows(small_run.config(both)) == 12
    assert count_training_rows(small_run.config(both, "data.train_max_samples=10")) == 10
    assert count_training_rows(small_run.config(both, "data.train_max_samples=100")) == 12


def test_rows_that_verl_filters_out_do_not_count(small_run: SmallRun) -> None:
    tiny.write_model(small_run.model)
    longest = len("What is the capital of Austria?")
    overrides = ["data.filter_overlong_prompts=true", "data.max_prompt_length=40"]
    kept = count_training_rows(small_run.config(*overrides))
    assert kept == 8
    assert count_training_rows(small_run.config(*overrides[:1], "data.max_prompt_length=3")) == 0
    assert longest < 40


def test_a_file_that_is_no_parquet_file_is_named(small_run: SmallRun) -> None:
    small_run.train.write_text("no rows")
    with pytest.raises(DataError, match=r"train\.parquet: is not a readable parquet file"):
        count_training_rows(small_run.config())
