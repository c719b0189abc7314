"""Train a policy to search a knowledge graph: ``python -m verl_ext.main_ppo --config-name cpu_135m``.

Hydra composes verl's own configuration with ours; everything after the door is verl's trainer. Overrides
are written as for verl. Two additions to Hydra's command line:

``--check``  print the resolved configuration and the memory of each phase, and stop.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf, open_dict

import verl_ext.search_path  # noqa: F401  profiles find verl's configuration through it
from verl_ext.allocator import allocator_environment
from verl_ext.attention import resolve_attention
from verl_ext.settings import Settings, SettingsError, check_search, take_settings, write_agent_loop_file

logger = logging.getLogger(__name__)

CONFIG_FOLDER = Path(__file__).resolve().parent.parent / "configs"


class LaunchError(RuntimeError):
    """The run cannot start; the message is one line saying what to do."""

    code = "cannot_launch"


def run_folder(config: DictConfig) -> Path:
    """Where everything of this run is written."""
    return Path(config.trainer.default_local_dir).parent


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
    agent_file = run_folder(config).absolute() / "agent_loop.yaml"
    write_agent_loop_file(settings, agent_file)
    with open_dict(config):
        config.actor_rollout_ref.rollout.agent.agent_loop_config_path = str(agent_file)
        config.actor_rollout_ref.rollout.agent.default_agent_loop = "kg_agent"
        config.actor_rollout_ref.rollout.agent.agent_loop_manager_class = (
            "verl_ext.agent_loop.KGAgentLoopManager"
        )
        config.trainer.v1.trainer_mode = "kg_sync"
    return settings


def next_free(path: Path) -> Path:
    """``path``, or the first of ``path.2``, ``path.3``… that does not exist: verl truncates its log file."""
    candidate, number = path, 1
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.stem}.{number}{path.suffix}")
    return candidate


def set_process_environment(config: DictConfig) -> None:
    """What verl, vLLM, Ray and W&B read from the environment, set here and nowhere deeper.

    A value that the user has set already stays.
    """
    folder = run_folder(config).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    defaults = {
        "VERL_FILE_LOGGER_PATH": str(next_free(folder / "metrics.jsonl")),
        "TENSORBOARD_DIR": str(folder / "tensorboard"),
        "WANDB_DIR": str(folder),
        "RAY_USAGE_STATS_ENABLED": "0",
        "TOKENIZERS_PARALLELISM": "true",
        # Ray gives its workers niceness 15, so that whatever else runs takes nearly all of a core from
        # them, and a training on two cores waits for the slower at every operation (docs/log.md).
        "RAY_worker_niceness": "0",
    }
    if not os.environ.get("WANDB_API_KEY"):
        defaults["WANDB_MODE"] = "offline"
    if config.trainer.device == "cpu":
        num_threads = os.cpu_count() or 1
        defaults |= {
            "VLLM_CPU_KVCACHE_SPACE": "1",
            # vLLM otherwise pins one thread to each core, on which the trainer then cannot run.
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": str(num_threads),
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        }
        os.environ.update(allocator_environment())
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def check_device(config: DictConfig) -> None:
    """Refuse a device that verl did not choose.

    verl logs a plug-in that fails to load at debug level only, and would go on to ask for CUDA.

    Raises:
        LaunchError: when they differ.
    """
    from verl.plugin.platform.platform_manager import get_platform

    found = get_platform().device_name
    if found != config.trainer.device:
        raise LaunchError(
            f"trainer.device={config.trainer.device} was asked for and verl found {found!r}: "
            f"choose a profile for {found} (--config-name), or check that `pip install -e .` registered "
            "the plug-in verl_ext_cpu"
        )


def check_inputs(config: DictConfig, settings: Settings) -> None:
    """Refuse, before Ray starts, what would otherwise fail minutes later.

    Raises:
        LaunchError: for a missing data file or model folder.
        kg_r1.search.errors.KGError: for a graph that cannot be searched for these questions.
    """
    from verl_ext.graph_check import check_graph

    for key in ("train_files", "val_files"):
        files = config.data[key]
        for name in [files] if isinstance(files, str) else files:
            if not Path(name).is_file():
                raise LaunchError(
                    f"data.{key}={name} does not exist: build it with `python -m kg_r1.data.build world "
                    "--out data_kg`"
                )
    model = str(config.actor_rollout_ref.model.path)
    if model.startswith(("/", "./", "../", "models/", "runs/")) and not Path(model).is_dir():
        raise LaunchError(
            f"actor_rollout_ref.model.path={model} does not exist: fetch one with `python -m "
            "verl_ext.fetch_model`, or name a model of the hub"
        )
    check_graph(config, settings.search)


def task_runner() -> Any:
    """verl's own task runner, with our trainer registered in its process."""
    import ray
    from verl.trainer.main_ppo import TaskRunnerV1

    # Ray's decorator put an actor class in its place; the class itself is kept in its metadata.
    original = TaskRunnerV1.__ray_metadata__.modified_class  # type: ignore[attr-defined]

    class KGTaskRunner(original):  # type: ignore[misc, valid-type]
        def run(self, config: DictConfig) -> None:
            logging.getLogger("verl_ext").setLevel(logging.INFO)
            import verl_ext.trainer  # noqa: F401  registers the trainer with verl

            super().run(config)

    return ray.remote(KGTaskRunner)


def train(config: DictConfig) -> None:
    """Run verl's trainer on ``config``, our sections included.

    Raises:
        SettingsError, LaunchError, kg_r1.search.errors.KGError: before anything is started.
    """
    settings = prepare(config)
    check_inputs(config, settings)
    set_process_environment(config)
    check_device(config)
    resolve_attention(config, run_folder(config) / "attention.json")

    import ray
    from verl.trainer.main_ppo import run_ppo
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config

    validate_config(
        config=config,
        use_reference_policy=need_reference_policy(config),
        use_critic=need_critic(config),
    )
    logger.info("run folder: %s", run_folder(config))
    try:
        run_ppo(config, task_runner_class=task_runner())
    finally:
        ray.shutdown()


def check(config: DictConfig) -> None:
    """Print the resolved configuration and the memory that it will need; start nothing.

    Raises:
        verl_ext.memory.errors.MemoryCheckError: when the memory cannot be computed, or trainer.kg.gpu_gib is too little.
    """
    sys.stdout.write(OmegaConf.to_yaml(config, resolve=True))
    settings = take_settings(config)
    # Its tensors lie on the processor, also where there is an accelerator; verl reads this when it is imported.
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
