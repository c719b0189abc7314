"""What makes a profile for GPUs run on a processor with the tests' tiny model: device, model and sizes."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

# What a processor cannot do, or has not got.
ON_A_PROCESSOR = (
    "trainer.device=cpu",
    "++ray_kwargs.ray_init={num_cpus: 16, num_gpus: 2, include_dashboard: false}",
    "transfer_queue.backend.SimpleStorage.num_data_storage_units=1",
    "actor_rollout_ref.actor.use_torch_compile=false",
    "actor_rollout_ref.actor.fsdp_config.use_torch_compile=false",
    "actor_rollout_ref.ref.use_torch_compile=false",
    "critic.fsdp.use_torch_compile=false",
    "actor_rollout_ref.rollout.enforce_eager=true",
    "++actor_rollout_ref.rollout.enable_sleep_mode=false",
    "actor_rollout_ref.rollout.free_cache_engine=false",
    "++actor_rollout_ref.rollout.engine_kwargs.vllm.distributed_executor_backend=uni",
    "actor_rollout_ref.rollout.checkpoint_engine.update_weights_bucket_megabytes=1024",
    "actor_rollout_ref.rollout.agent.num_workers=1",
)
# The prompt that the tiny model has learned, and few and short steps.
SIZES = (
    "trainer.nnodes=1",
    "trainer.total_training_steps=2",
    "trainer.total_epochs=1",
    "trainer.test_freq=2",
    "trainer.val_before_train=false",
    "trainer.save_freq=-1",
    "trainer.logger=[console,file]",
    "data.val_batch_size=4",
    "actor_rollout_ref.rollout.search.prompt_style=names",
    "actor_rollout_ref.rollout.search.entity_form=handle",
    "actor_rollout_ref.rollout.search.actions=[get_head_entities,get_tail_entities,get_head_relations,get_tail_relations]",
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=1024",
    "critic.ppo_max_token_len_per_gpu=1024",
    "actor_rollout_ref.rollout.max_model_len=1024",
)


def write_qwen2(model: Path, folder: Path) -> None:
    """The world's half-trained model as a Qwen2: the same function, with biases that are zero."""
    llama = AutoModelForCausalLM.from_pretrained(str(model), dtype=torch.bfloat16)
    shape = llama.config.to_dict()
    for name in ("architectures", "model_type", "attention_bias", "mlp_bias", "head_dim", "pretraining_tp"):
        shape.pop(name, None)
    qwen2 = Qwen2ForCausalLM(Qwen2Config(**shape)).to(torch.bfloat16)
    with torch.no_grad():
        for parameter in qwen2.parameters():
            parameter.zero_()
    missing, unexpected = qwen2.load_state_dict(llama.state_dict(), strict=False)
    assert not unexpected
    assert all(name.endswith("bias") for name in missing)
    qwen2.save_pretrained(str(folder))
    AutoTokenizer.from_pretrained(str(model)).save_pretrained(str(folder))
