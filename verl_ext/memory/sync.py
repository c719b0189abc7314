"""What it takes to hand the policy's weights to the engine, by running verl's own sender.

verl copies the weights one by one into a bucket that sender and receiver share, and sends it when it is full
(workers/rollout/vllm_rollout/bucketed_weight_transfer.py). Of an adapter the engine first keeps a copy, and
copies it again for vLLM (workers/rollout/vllm_rollout/utils.py, ``update_weights_from_ipc`` and
``_update_weights``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from omegaconf import DictConfig
from verl.workers.rollout.vllm_rollout.bucketed_weight_transfer import BucketedWeightSender

from verl_ext.memory.errors import MemoryCheckError
from verl_ext.memory.training import EngineSizes

BUCKET, IN_FLIGHT, COPIES = "bucket", "weights in flight", "engine copies of adapters"
SHARED = (BUCKET, COPIES)
BUCKET_KEY = "actor_rollout_ref.rollout.checkpoint_engine.update_weights_bucket_megabytes"
NUM_ADAPTER_COPIES = 2


def sync_sizes(config: DictConfig, actor: EngineSizes, *, is_cuda: bool) -> dict[str, int]:
    """Parts at the peak of a synchronisation, those of :data:`SHARED` beside the trainer's.

    Raises:
        MemoryCheckError: for a weight larger than the bucket where it must fit.
    """
    rollout, engine = config.actor_rollout_ref.rollout, actor.training.engine
    sender = _SenderAlone(rollout.checkpoint_engine.update_weights_bucket_megabytes, use_shm=not is_cuda)

    def run() -> None:
        weights, _ = engine.get_per_tensor_param(layered_summon=rollout.layered_summon, base_sync_done=True)
        asyncio.run(sender.async_send_weights(sender.checked(weights)))

    parts = actor.sync(run, lambda: {BUCKET: sender.buffers}, rest=IN_FLIGHT)
    if actor.training.is_adapter and not config.actor_rollout_ref.model.lora.get("merge", False):
        parts[COPIES] = NUM_ADAPTER_COPIES * sender.num_bytes_sent
    return parts


class _SenderAlone(BucketedWeightSender):
    """verl's sender with nobody at the other end."""

    def __init__(self, bucket_size_mb: int, use_shm: bool) -> None:
        super().__init__(zmq_handle="", bucket_size_mb=bucket_size_mb, use_shm=use_shm)
        # Of floats, so that the tracker makes it fake like the weights that are copied into it.
        self.buffers = [torch.empty(self.bucket_size // 4, dtype=torch.float32).view(torch.uint8)]
        self.num_bytes_sent = 0

    def checked(self, weights: Iterable[tuple[str, torch.Tensor]]) -> Iterator[tuple[str, torch.Tensor]]:
        """The weights, none larger than the bucket where verl must put each into it."""
        for name, weight in weights:
            if self.use_shm and weight.nbytes > self.bucket_size:
                raise MemoryCheckError(
                    f"{BUCKET_KEY}={self.bucket_size_mb} is less than {name}, which has "
                    f"{weight.nbytes / 1024**2:.0f} MiB and is sent in one piece: raise it"
                )
            self.num_bytes_sent += weight.nbytes
            yield name, weight

    def _init_socket(self) -> None:
        self.socket = _Silence()  # type: ignore[assignment]

    def _init_buffer(self) -> None:
        (self.buffer,) = self.buffers  # type: ignore[assignment]

    def _direct_send_large_weight(self, name: str, weight: torch.Tensor) -> None:
        """The receiver opens the weight where it lies."""

    def _cleanup(self) -> None:
        self.buffer, self.buffers, self.socket = None, [], None


class _Silence:
    def send_pyobj(self, _: Any) -> None:
        return None

    def recv(self) -> bytes:
        return b""
