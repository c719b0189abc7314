"""Starting, going on, beginning anew: which of them a folder and a configuration come to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import DictConfig

from tests.verl_ext.launch.conftest import SmallRun
from verl_ext.launch.errors import LaunchError
from verl_ext.launch.record import record_of, write_record
from verl_ext.launch.resume import Start, held, leave_behind, plan_start

OTHER_RATE = "actor_rollout_ref.actor.optim.lr=1e-4"


def plan(config: DictConfig, num_steps: int = 100) -> Start:
    return plan_start(config, record_of(config), num_steps)


def keep_record(small_run: SmallRun) -> None:
    write_record(record_of(small_run.config()), small_run.run)


def test_an_empty_folder_is_started_in(small_run: SmallRun) -> None:
    assert plan(small_run.config()) == Start(0, 100, is_new=False)


def test_the_same_run_goes_on_from_its_last_checkpoint_and_is_finished_at_its_last_step(
    small_run: SmallRun,
) -> None:
    keep_record(small_run)
    small_run.save_checkpoint(40)
    start = plan(small_run.config("trainer.save_freq=5"))
    assert (start.step, start.is_new, start.is_finished) == (40, False, False)
    assert plan(small_run.config(), num_steps=40).is_finished
    assert plan(small_run.config(), num_steps=30).is_finished


def test_another_run_is_refused_with_the_keys_and_both_ways_out(small_run: SmallRun) -> None:
    keep_record(small_run)
    small_run.save_checkpoint(40)
    with pytest.raises(LaunchError) as refused:
        plan(small_run.config(OTHER_RATE))
    told = str(refused.value)
    assert "actor_rollout_ref.actor.optim.lr (3e-05 -> 0.0001)" in told
    assert "trainer.experiment_name=" in told
    assert "trainer.resume_mode=disable" in told
    assert "\n" not in told


def test_without_a_checkpoint_another_run_begins_anew(small_run: SmallRun) -> None:
    keep_record(small_run)
    assert plan(small_run.config()) == Start(0, 100, is_new=False)
    assert plan(small_run.config(OTHER_RATE)) == Start(0, 100, is_new=True)


def test_disable_begins_anew_and_leaves_the_earlier_run_behind(small_run: SmallRun) -> None:
    keep_record(small_run)
    small_run.save_checkpoint(40)
    for name in ("metrics.jsonl", "metrics.2.jsonl", "validation/step_000000.jsonl", "hydra/config.yaml"):
        path = small_run.run / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    config = small_run.config("trainer.resume_mode=disable", OTHER_RATE)
    assert plan(config) == Start(0, 100, is_new=True)
    leave_behind(config)
    previous = small_run.run / "previous-1"
    assert {path.name for path in small_run.run.iterdir()} == {"previous-1", "hydra"}
    assert (previous / "checkpoints" / "global_step_40").is_dir()
    assert (previous / "metrics.2.jsonl").read_text() == "metrics.2.jsonl"
    assert (previous / "validation" / "step_000000.jsonl").is_file()

    leave_behind(config)  # nothing is left, and so nothing is moved
    assert not (small_run.run / "previous-2").exists()
    keep_record(small_run)
    leave_behind(config)
    assert (small_run.run / "previous-2" / "run.json").is_file()


def test_resume_path_goes_on_from_the_checkpoint_named(
    small_run: SmallRun, caplog: pytest.LogCaptureFixture
) -> None:
    keep_record(small_run)
    checkpoint = small_run.save_checkpoint(40)
    named = ["trainer.resume_mode=resume_path", f"trainer.resume_from_path={checkpoint}"]
    elsewhere = [*named, f"trainer.default_local_dir={small_run.folder}/runs/second/checkpoints"]
    assert plan(small_run.config(*named)).step == 40
    assert plan(small_run.config(*elsewhere, OTHER_RATE)) == Start(40, 100, is_new=False)
    assert "optim.lr (3e-05 -> 0.0001)" in caplog.text
    with pytest.raises(LaunchError, match="holds a run with another configuration"):
        plan(small_run.config(*named, OTHER_RATE))


@pytest.mark.parametrize("path", ["null", "runs/first/checkpoints", "runs/first/checkpoints/global_step_7"])
def test_resume_path_needs_a_checkpoint(small_run: SmallRun, path: str) -> None:
    config = small_run.config("trainer.resume_mode=resume_path", f"trainer.resume_from_path={path}")
    with pytest.raises(LaunchError, match=r"trainer\.resume_from_path=.* is no folder global_step_<n>"):
        plan(config)


def test_a_mode_that_there_is_not_is_refused(small_run: SmallRun) -> None:
    with pytest.raises(LaunchError, match="resume_mode=never is none of auto, disable, resume_path"):
        plan(small_run.config("trainer.resume_mode=never"))


def test_a_checkpoint_that_is_gone_is_no_silent_beginning(small_run: SmallRun) -> None:
    keep_record(small_run)
    small_run.save_checkpoint(40).rmdir()
    with pytest.raises(LaunchError, match="names step '40'"):
        plan(small_run.config())


def test_checkpoints_without_a_record_are_gone_on_with_and_that_is_said(
    small_run: SmallRun, caplog: pytest.LogCaptureFixture
) -> None:
    small_run.save_checkpoint(40)
    assert plan(small_run.config()).step == 40
    assert "without knowing what that run was asked for" in caplog.text


def test_two_processes_never_share_a_folder(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from verl_ext.launch.errors import LaunchError\n"
        "from verl_ext.launch.resume import held\n"
        "try:\n"
        "    with held(Path(sys.argv[1])): print('held')\n"
        "except LaunchError as error: print(error)"
    )

    def told() -> str:
        command = [sys.executable, "-c", code, str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    with held(tmp_path):
        assert "is in use by process" in told()
    assert told() == "held\n"
