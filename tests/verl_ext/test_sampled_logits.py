"""The engine that projects sampled positions alone: the same loss and gradient as verl's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tensordict import TensorDict
from transformers import AutoModelForCausalLM
from verl.utils import tensordict_utils as tu
from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

from tests.verl_ext import tiny
from verl_ext.profiles import composed
from verl_ext.sampled_logits import SampledLogitsEngine, sampled_positions
from verl_ext.value_engine import ValueEngine

PROMPTS = [[5, 6, 7], [9, 8], [11, 12, 13, 14]]
RESPONSES = [[20, 21, 22, 23], [30], [40, 41, 42]]
MASKS = [[1, 0, 0, 1], [1], [0, 1, 1]]


def jagged(rows: list[list[int]]) -> torch.Tensor:
    return torch.nested.as_nested_tensor([torch.tensor(row) for row in rows], layout=torch.jagged)


def micro_batch(**settings: object) -> TensorDict:
    whole = [prompt + response for prompt, response in zip(PROMPTS, RESPONSES, strict=True)]
    rows = {
        "input_ids": jagged(whole),
        "position_ids": jagged([list(range(len(row))) for row in whole]),
        "prompts": jagged(PROMPTS),
        "responses": jagged(RESPONSES),
        "response_mask": jagged(MASKS),
    }
    batch = TensorDict(rows, batch_size=len(whole))
    tu.assign_non_tensor(batch, temperature=0.8, use_remove_padding=True, **settings)
    return batch


def engine_of(kind: type[FSDPEngineWithLMHead]) -> FSDPEngineWithLMHead:
    """An engine with as much of it as a forward pass on one rank reads."""
    engine = object.__new__(kind)
    engine.pad_to_length = engine.use_ulysses_sp = False
    engine.engine_config = type("Config", (), {"entropy_checkpointing": False})()
    engine.engine_config.entropy_from_logits_with_chunking = False
    from verl.utils.torch_functional import entropy_from_logits

    engine.compute_entropy_from_logits = entropy_from_logits
    return engine


def computed(
    kind: type[FSDPEngineWithLMHead], model: torch.nn.Module, batch: TensorDict
) -> tuple[dict[str, torch.Tensor], torch.Size]:
    engine = engine_of(kind)
    inputs, arguments = engine.prepare_model_inputs(batch)
    output = model(**inputs, use_cache=False)
    shape = output.logits.shape
    found = engine.prepare_model_outputs(output, arguments, batch, None)
    return {name: values.values() for name, values in found.items()}, shape


@pytest.fixture
def model(tmp_path: Path) -> torch.nn.Module:
    tiny.write_model(tmp_path)
    return AutoModelForCausalLM.from_pretrained(
        str(tmp_path), dtype=torch.float32, attn_implementation="eager"
    )


def test_positions_are_those_before_a_sampled_token() -> None:
    lengths = (torch.tensor([3, 2, 4]), torch.tensor([4, 1, 3]))
    mask = torch.tensor([value for row in MASKS for value in row])
    # Packed: 0-6, 7-9, 10-16; sampled tokens stand at 3, 6, 9, 15, 16.
    assert sampled_positions(*lengths, mask).tolist() == [2, 5, 8, 14, 15]


def test_same_values_and_gradients_as_verls_engine(model: torch.nn.Module) -> None:
    batch = micro_batch(calculate_entropy=True)
    stock, all_positions = computed(FSDPEngineWithLMHead, model, batch)
    ours, sampled_only = computed(SampledLogitsEngine, model, batch)
    sampled = torch.tensor([2, 5, 8, 14, 15])
    assert all_positions[1] == 17
    assert sampled_only[1] == len(sampled)
    gradients = []
    for found in (stock, ours):
        model.zero_grad()
        (found["log_probs"][sampled].sum() + found["entropy"][sampled].sum()).backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    for name in ("log_probs", "entropy"):
        torch.testing.assert_close(ours[name][sampled], stock[name][sampled], rtol=1e-4, atol=1e-5)
        assert ours[name].shape == stock[name].shape
    for own, expected in zip(*reversed(gradients), strict=True):
        torch.testing.assert_close(own, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "setting", ["use_fused_kernels", "distillation_use_topk", "calculate_sum_pi_squared"]
)
def test_what_it_does_not_know_is_left_to_verl(setting: str) -> None:
    assert not engine_of(SampledLogitsEngine)._knows(micro_batch(**{setting: True}))


def test_a_batch_without_a_response_mask_is_left_to_verl(model: torch.nn.Module) -> None:
    batch = micro_batch(calculate_entropy=False).exclude("response_mask")
    found, shape = computed(SampledLogitsEngine, model, batch)
    assert shape[1] == 17
    assert found["log_probs"].shape == (17,)


def test_the_profile_of_a_processor_gets_it() -> None:
    profile = composed("cpu_135m", [])
    assert profile.actor_rollout_ref.model.external_lib == SampledLogitsEngine.__module__
    backend = profile.actor_rollout_ref.actor.strategy
    assert EngineRegistry.get_engine_cls("language_model", backend) is SampledLogitsEngine
    assert EngineRegistry.get_engine_cls("value_model", backend) is ValueEngine
