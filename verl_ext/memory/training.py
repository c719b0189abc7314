"""What a training engine holds at the peak of each of its passes, and between them.

verl's engine runs under :class:`~verl_ext.memory.tracker.SizeTracker`: two micro-batches forward and backward
with verl's loss, clipping and the optimizer's step, and the passes without gradients, each with its largest
pack. Bytes of one rank.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from tensordict import TensorDict
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from verl.utils.torch_functional import entropy_from_logits

from verl_ext.memory.engines import TrainingEngine
from verl_ext.memory.packs import EpisodeSizes, Pack, largest_pack, micro_batches
from verl_ext.memory.tracker import Groups, SizeTracker

WEIGHTS, GATHERED, GRADIENTS, OPTIMIZER = "weights", "gathered weights", "gradients", "optimizer"
ACTIVATIONS = "activations"

Parts = Mapping[str, int]


@dataclass(frozen=True)
class Passes:
    """How verl's worker calls an engine."""

    episode: EpisodeSizes
    num_episodes: int
    """Of one step, on one rank."""
    num_in_mini_batch: int
    """Of one update, on one rank."""
    temperature: float
    calculates_entropy_in_update: bool = False
    """``actor.calculate_entropy`` or a coefficient of it (trainer/ppo/v1/trainer_base.py:1831)."""


def run_update(training: TrainingEngine, passes: Passes) -> None:
    """One optimizer step of verl's engine from the largest micro-batches."""
    batch = _batch(training, passes, update_pack(training, passes), passes.calculates_entropy_in_update)
    with training.engine.train_mode():
        training.engine.train_batch(batch, loss_function=training.loss)


def run_inference(
    training: TrainingEngine,
    passes: Passes,
    *,
    calculate_entropy: bool = False,
    without_adapter: bool = False,
) -> None:
    """Log-probabilities or values of the largest micro-batches, without gradients."""
    batch = _batch(training, passes, inference_pack(training, passes), calculate_entropy)
    adapter = training.engine.disable_adapter() if without_adapter else nullcontext()
    with training.engine.eval_mode(), adapter:
        training.engine.infer_batch(batch)


def update_pack(training: TrainingEngine, passes: Passes) -> Pack:
    """The largest micro-batch of an update."""
    settings = training.settings
    max_tokens = settings.max_token_len_per_gpu if settings.use_dynamic_bsz else None
    return largest_pack(
        passes.episode, passes.num_in_mini_batch, max_tokens, settings.micro_batch_size_per_gpu
    )


def inference_pack(training: TrainingEngine, passes: Passes) -> Pack:
    """The largest micro-batch of a pass without gradients."""
    settings = training.settings
    max_tokens = settings.infer_max_token_len_per_gpu if settings.use_dynamic_bsz else None
    return largest_pack(
        passes.episode, passes.num_episodes, max_tokens, settings.infer_micro_batch_size_per_gpu
    )


def make_optimizer_state(training: TrainingEngine) -> None:
    """Moments exist from the first step on: take one whose gradients are zero."""
    engine = training.engine
    for parameter in engine.module.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
    engine.optimizer.step()
    engine.optimizer_zero_grad()


def _batch(training: TrainingEngine, passes: Passes, pack: Pack, calculate_entropy: bool) -> TensorDict:
    return micro_batches(
        pack,
        passes.episode,
        use_remove_padding=training.use_remove_padding,
        use_fused_kernels=training.settings.use_fused_kernels,
        temperature=passes.temperature,
        calculate_entropy=calculate_entropy,
        pad_token_id=0,
    )


class EngineSizes:
    """Measures the passes of one engine as they would be on the device that the profile names.

    Args:
        tracker: the tracker inside which ``training`` was built.
        is_cuda: whether host and device are two memories, so that what is offloaded leaves the device.
    """

    def __init__(
        self, tracker: SizeTracker, training: TrainingEngine, passes: Passes, *, is_cuda: bool
    ) -> None:
        self._tracker, self.training, self.passes = tracker, training, passes
        self._is_cuda = is_cuda
        engine = training.engine
        if training.settings.use_torch_compile:
            engine.compute_entropy_from_logits = _compiled_entropy
        if engine.optimizer is not None:
            if is_cuda and engine.optimizer.defaults.get("foreach", False) is None:
                # What torch.optim chooses for parameters on CUDA (torch/optim/optimizer.py,
                # _default_to_fused_or_foreach): all at once, with temporaries of all of them.
                for group in engine.optimizer.param_groups:
                    group["foreach"] = True
            make_optimizer_state(training)

    def num_parameters(self) -> tuple[int, int]:
        """All parameters, and those that are trained; of the whole model, not of one shard."""
        parameters = list(self.training.engine.module.parameters())
        return sum(p.numel() for p in parameters), sum(p.numel() for p in parameters if p.requires_grad)

    def update(self) -> dict[str, int]:
        """Parts at the peak of an update: every weight, gradient and moment is on the device."""
        return self._measured(lambda: run_update(self.training, self.passes), loads_optimizer=True)

    def inference(self, *, calculate_entropy: bool = False, without_adapter: bool = False) -> dict[str, int]:
        """Parts at the peak of a pass without gradients."""
        return self._measured(
            lambda: run_inference(
                self.training,
                self.passes,
                calculate_entropy=calculate_entropy,
                without_adapter=without_adapter,
            ),
            loads_optimizer=False,
        )

    def sync(self, run: Callable[[], None], others: Callable[[], Groups], *, rest: str) -> dict[str, int]:
        """Parts at the peak while weights are sent; ``others`` names tensors that are not the engine's."""
        settings = self.training.settings
        self._tracker.restart(lambda: {**self._groups(), **others()})
        run()
        parts = self._tracker.parts_at_peak(rest)
        if self._is_cuda and settings.param_offload and not self.training.is_adapter:
            # They stay on the host, and each is brought to the device alone (transformer_impl.py,
            # get_per_tensor_param: only an adapter's whole model is loaded).
            parts[WEIGHTS] = parts[GATHERED] = 0
            shards = _fsdp_parameters(self.training.engine.module)
            parts[rest] += max(shard._sharded_param_data.nbytes for shard in shards)
        return self._on_device(parts, loads_optimizer=False)

    def idle(self) -> dict[str, int]:
        """Parts that stay on the device while another engine works, as the last pass left them."""
        parts = self._tracker.sizes(self._groups())
        if self._is_cuda and self.training.settings.param_offload:
            # FSDP frees gathered copies when the module moves (_fully_shard.py, FSDPModule._apply).
            parts[WEIGHTS] = parts[GATHERED] = 0
        return self._on_device(parts, loads_optimizer=False)

    def _measured(self, run: Callable[[], None], *, loads_optimizer: bool) -> dict[str, int]:
        self._tracker.restart(self._groups)
        run()
        return self._on_device(self._tracker.parts_at_peak(ACTIVATIONS), loads_optimizer=loads_optimizer)

    def _groups(self) -> Groups:
        return engine_tensors(self.training.engine)

    def _on_device(self, parts: dict[str, int], *, loads_optimizer: bool) -> dict[str, int]:
        settings = self.training.settings
        if not self._is_cuda:
            return parts
        if settings.offload_policy or settings.forward_only:
            # FSDP2's own offloading: shards live on the host, and those of the group at work and the one
            # fetched ahead are on the device (torch/distributed/fsdp/_fully_shard/_fsdp_param.py:839).
            parts[WEIGHTS] = 2 * _largest_group_bytes(self.training.engine.module)
            parts |= {name: 0 for name in (GRADIENTS, OPTIMIZER) if name in parts}
        elif settings.optimizer_offload and not loads_optimizer:
            parts[OPTIMIZER] = 0
        return parts


def engine_tensors(engine: Any) -> Groups:
    """The tensors of an engine by part. A module's parameters are now the shards, now the gathered ones."""
    parameters = list(_fsdp_parameters(engine.module))
    gradients = [
        gradient
        for parameter in parameters
        for gradient in (
            parameter.sharded_param.grad,
            parameter.unsharded_accumulated_grad,
            getattr(parameter, "_unsharded_param", parameter.sharded_param).grad,
        )
        if gradient is not None
    ]
    states = engine.optimizer.state.values() if engine.optimizer is not None else ()
    return {
        WEIGHTS: [parameter._sharded_param_data for parameter in parameters] + list(engine.module.buffers()),
        GATHERED: [output for parameter in parameters for output in parameter.all_gather_outputs],
        GRADIENTS: [_local(gradient) for gradient in gradients],
        OPTIMIZER: [
            _local(value) for state in states for value in state.values() if isinstance(value, torch.Tensor)
        ],
    }


def _largest_group_bytes(module: torch.nn.Module) -> int:
    """Bytes of the largest FSDP group's shards on one rank."""
    return max(
        sum(parameter._sharded_param_data.nbytes for parameter in group.fsdp_params)
        for group in _fsdp_groups(module)
    )


def _fsdp_groups(module: torch.nn.Module) -> Iterator[Any]:
    for part in module.modules():
        if isinstance(part, FSDPModule):
            yield from part._get_fsdp_state()._fsdp_param_groups


def _fsdp_parameters(module: torch.nn.Module) -> Iterator[Any]:
    for group in _fsdp_groups(module):
        yield from group.fsdp_params


def _local(tensor: torch.Tensor) -> torch.Tensor:
    return tensor._local_tensor if isinstance(tensor, DTensor) else tensor


def _compiled_entropy(logits: torch.Tensor, **options: Any) -> torch.Tensor:
    """What a compiled entropy allocates: its result alone. With gradients the eager one is an upper bound."""
    if torch.is_grad_enabled():
        return entropy_from_logits(logits)
    return logits.new_empty(logits.shape[:-1])
