"""verl's task runner with our trainer in it, on the machine that the command was given on."""

from __future__ import annotations

import logging
from typing import Any

from omegaconf import DictConfig


def task_runner() -> Any:
    """What verl starts as its task runner: a class with ``remote`` and ``options``."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
    from verl.trainer.main_ppo import TaskRunnerV1

    # Ray's decorator put an actor class in its place; the class itself is kept in its metadata.
    original = TaskRunnerV1.__ray_metadata__.modified_class  # type: ignore[attr-defined]

    class KGTaskRunner(original):  # type: ignore[misc, valid-type]
        def run(self, config: DictConfig) -> None:
            logging.getLogger("verl_ext").setLevel(logging.INFO)
            import verl_ext.trainer  # noqa: F401  registers the trainer with verl

            super().run(config)

    class OnThisNode:
        """The actor class, bound to the driver's node once Ray runs.

        The runner reads the questions and writes the run's folder; Ray would choose any node for it. It asks
        for no processor, so that a node that lends Ray none can hold it as well.
        """

        @staticmethod
        def options(**options: Any) -> Any:
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
            return ray.remote(KGTaskRunner).options(num_cpus=0, scheduling_strategy=here, **options)

        @staticmethod
        def remote() -> Any:
            return OnThisNode.options().remote()

    return OnThisNode
