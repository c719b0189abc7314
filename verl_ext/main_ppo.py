"""Train a policy to search a knowledge graph: ``python -m verl_ext.main_ppo --config-name cpu_135m``.

Hydra composes verl's own configuration with ours; everything after the door is verl's trainer. Overrides
are written as for verl. Two additions to Hydra's command line:

``--check``  print the resolved configuration and the memory of each phase, and stop.
"""

from __future__ import annotations

import logging
import os
import sys
from copy import deepcopy

import hydra
from omegaconf import DictConfig, OmegaConf, open_dict

from kg_r1.data.rows import AGENT_NAME
from verl_ext.launch.environment import check_device, set_process_environment
from verl_ext.launch.errors import LaunchError
from verl_ext.launch.inputs import check_files, check_inputs
from verl_ext.launch.paths import make_paths_absolute, run_folder
from verl_ext.launch.record import RunRecord, record_of, write_record
from verl_ext.launch.resume import Start, held, leave_behind, plan_start
from verl_ext.launch.rows import count_steps
from verl_ext.launch.runner import task_runner
from verl_ext.launch.verl_checks import check_with_verl
from verl_ext.search_path import CONFIG_FOLDER  # and with it verl's configuration for the profiles
from verl_ext.settings import (
    Settings,
    SettingsError,
    check_search,
    check_seed,
    hand_to_agent_loop,
    take_settings,
)

logger = logging.getLogger(__name__)


def prepare(config: DictConfig) -> Settings:
    """Take our sections out of ``config`` and point verl at our agent loop and trainer.

    Raises:
        SettingsError: for a key or value of ours that cannot be used.
    """
    settings = take_settings(config)
    rollout = config.actor_rollout_ref.rollout
    check_search(
        settings.search, prompt_length=rollout.prompt_length, response_length=rollout.response_length
    )
    check_seed(config.data.seed)
    hand_to_agent_loop(config, settings)
    with open_dict(config):
        rollout.agent.default_agent_loop = AGENT_NAME
        rollout.agent.agent_loop_manager_class = "verl_ext.agent_loop.KGAgentLoopManager"
        config.trainer.v1.trainer_mode = "kg_sync"
    return settings


def train(config: DictConfig) -> None:
    """Run verl's trainer on ``config``, our sections included; a run that is finished is only said to be.

    Raises:
        SettingsError, LaunchError, kg_r1.search.errors.KGError: before anything is started.
    """
    asked = deepcopy(config)
    check_files(config)
    make_paths_absolute(config)
    settings = prepare(config)
    folder = run_folder(asked)
    with held(folder):
        record = record_of(asked)
        start = plan_start(asked, record, count_steps(config))
        if start.is_finished and not config.trainer.val_only:
            sys.stdout.write(
                f"{folder} is finished: it stands at step {start.step} of {start.num_steps}. Raise "
                "trainer.total_training_steps (and trainer.total_epochs) to go on, or name another run "
                "(trainer.experiment_name=...)\n"
            )
            return
        check_inputs(config, settings)
        run(config, start, record)


def run(config: DictConfig, start: Start, record: RunRecord) -> None:
    """Check what needs verl, write the run's record and start Ray and verl's trainer.

    Raises:
        LaunchError: before anything is started or written.
    """
    from verl_ext.attention import resolve_attention  # and with it PyTorch, which earlier refusals do without

    set_process_environment(config, is_new=start.is_new)
    check_device(config)
    resolve_attention(config, run_folder(config) / "attention.json")
    check_with_verl(config)
    if start.is_new:
        leave_behind(config)
    folder = run_folder(config)
    write_record(record, folder)

    import ray
    from verl.trainer.main_ppo import run_ppo

    logger.info("run folder: %s", folder)
    try:
        run_ppo(config, task_runner_class=task_runner())
    finally:
        ray.shutdown()


def check(config: DictConfig) -> None:
    """Print the resolved configuration and the memory that it will need; start nothing.

    Raises:
        SettingsError: as :func:`take_settings`.
        MemoryCheckError: when the memory cannot be computed, or a phase needs more than trainer.kg.gpu_gib.
    """
    sys.stdout.write(OmegaConf.to_yaml(config, resolve=True))
    settings = take_settings(config)
    # Its tensors lie on the processor, also where there is an accelerator; verl reads this when it is
    # imported.
    os.environ["VERL_PLATFORM"] = "cpu"
    from verl_ext.memory.estimate import estimate_memory
    from verl_ext.memory.report import check_fits, format_memory

    estimate = estimate_memory(config, settings)
    sys.stdout.write(f"\n{format_memory(estimate, config, settings.search)}\n")
    check_fits(estimate, config, settings.run.gpu_gib)


def main() -> None:
    """The command line; a user's mistake is one line and exit status 2."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    is_check = "--check" in sys.argv
    if is_check:
        sys.argv.remove("--check")

    @hydra.main(config_path=str(CONFIG_FOLDER), config_name="cpu_135m", version_base=None)
    def entry(config: DictConfig) -> None:
        from kg_r1.search.errors import KGError
        from verl_ext.memory.errors import MemoryCheckError

        try:
            (check if is_check else train)(config)
        except (SettingsError, LaunchError, MemoryCheckError, KGError) as error:
            sys.stderr.write(f"error [{error.code}]: {error}\n")
            sys.exit(2)

    entry()


if __name__ == "__main__":
    main()
