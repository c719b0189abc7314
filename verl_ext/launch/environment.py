"""The environment of a run: what verl, vLLM, Ray, W&B and the allocator read, set here and nowhere deeper."""

from __future__ import annotations

import os
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from verl_ext.allocator import allocator_environment
from verl_ext.launch.errors import LaunchError
from verl_ext.launch.paths import run_folder

# How threads wait, set by verl_ext/__init__.py, which a worker may import after PyTorch.
SET_ON_IMPORT = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def next_free(path: Path) -> Path:
    """``path``, or the first of ``path.2``, ``path.3``… that does not exist: verl truncates its log file."""
    candidate, number = path, 1
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.stem}.{number}{path.suffix}")
    return candidate


def set_process_environment(config: DictConfig, *, is_new: bool = False) -> None:
    """Set what is not set yet, and have Ray hand all of it to its workers.

    The metrics of a run that goes on get a file of their own; with `is_new`, what an earlier run left in the
    folder will have been moved out of the way.

    Workers of a cluster that runs already do not inherit from this process: what they need travels in Ray's
    runtime environment, which Ray sets before it starts a worker's interpreter. A value that the user has set
    here, or in ``ray_kwargs.ray_init.runtime_env.env_vars``, stays.
    """
    folder = run_folder(config).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    metrics = folder / "metrics.jsonl"
    defaults = {
        "VERL_FILE_LOGGER_PATH": str(metrics if is_new else next_free(metrics)),
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
    allocator: dict[str, str] = {}
    if config.trainer.device == "cpu":
        num_threads = os.cpu_count() or 1
        defaults |= {
            "VLLM_CPU_KVCACHE_SPACE": "1",
            # vLLM otherwise pins one thread to each core, on which the trainer then cannot run.
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": str(num_threads),
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        }
        allocator = allocator_environment()
        os.environ.update(allocator)
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    key = "ray_kwargs.ray_init.runtime_env.env_vars"
    handed = [name for name in (*defaults, *allocator, *SET_ON_IMPORT) if name in os.environ]
    variables = {name: os.environ[name] for name in handed} | dict(OmegaConf.select(config, key) or {})
    OmegaConf.update(config, key, variables, force_add=True)


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
