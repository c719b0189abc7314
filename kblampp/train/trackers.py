"""Where W&B and TensorBoard write."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

from kblampp.config import Config


def set_defaults(config: Config, environment: MutableMapping[str, str] = os.environ) -> None:
    """Puts the files of trackers into `train.output`, and keeps W&B offline where no key is set.

    The trackers read their settings from the environment; what the user set there stays. Nothing is set for a
    run that reports to none.

    Args:
        config: of the run.
        environment: of this process.
    """
    if not config.train.report_to:
        return
    output = config.train.output
    defaults = {
        "WANDB_DIR": output,
        "WANDB_PROJECT": "kblampp",
        "TENSORBOARD_LOGGING_DIR": f"{output}/tensorboard",
    }
    if not environment.get("WANDB_API_KEY"):
        defaults["WANDB_MODE"] = "offline"
    for name, value in defaults.items():
        environment.setdefault(name, value)
