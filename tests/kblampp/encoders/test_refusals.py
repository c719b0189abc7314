"""What is refused says what was asked, what exists and what to do next, in one line."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kblampp.encoders.adapting import adapted_modules, make_trainable
from kblampp.encoders.config import EncoderConfig, add_encoder_flags, encoder_config
from kblampp.encoders.errors import EncoderError, ModelNotFound, UnknownArchitecture, WrongFamily
from kblampp.encoders.loading import load_encoder
from kblampp.encoders.text_encoder import TextEncoder
from tests.kblampp import tiny

Load = Callable[..., TextEncoder]


def test_a_checkpoint_of_the_other_family(load: Load) -> None:
    with pytest.raises(WrongFamily, match=r"encoder family \(bert\).*decoder family.*minilm or bge"):
        load("bert", text_encoder="qwen")
    with pytest.raises(WrongFamily, match=r"decoder family \(llama\).*--text-encoder smollm or qwen"):
        load("llama", text_encoder="minilm")


@pytest.mark.parametrize("model_type", ["t5", "gpt2"])
def test_an_unknown_architecture(tmp_path: Path, model_type: str) -> None:
    folder = tiny.checkpoint(tmp_path / "m", "bert")
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}), encoding="utf-8")
    with pytest.raises(UnknownArchitecture, match=rf"'{model_type}'; there is one for bert, roberta"):
        load_encoder(EncoderConfig("bert", model_path=folder))


def test_a_config_that_transformers_cannot_read(tmp_path: Path) -> None:
    folder = tiny.checkpoint(tmp_path / "m", "bert")
    (folder / "config.json").write_text(json.dumps({"model_type": "no_such"}), encoding="utf-8")
    with pytest.raises(UnknownArchitecture, match="cannot read the config in"):
        load_encoder(EncoderConfig("bert", model_path=folder))


def test_a_two_sided_model_turned_into_a_decoder(tmp_path: Path) -> None:
    folder = tiny.checkpoint(tmp_path / "m", "bert")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "is_decoder": True}), encoding="utf-8")
    with pytest.raises(UnknownArchitecture, match="is_decoder=true"):
        load_encoder(EncoderConfig("bert", model_path=folder))


def test_weights_that_would_be_unpickled(tmp_path: Path) -> None:
    folder = tiny.checkpoint(tmp_path / "m", "bert")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelNotFound, match="no safetensors weights"):
        load_encoder(EncoderConfig("bert", model_path=folder))


def test_no_such_folder_and_no_such_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelNotFound, match="--model-path") as caught:
        load_encoder(EncoderConfig("bert", model_path=tmp_path / "nowhere"))
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelNotFound, match=r"no config\.json"):
        load_encoder(EncoderConfig("bert", model_path=tmp_path))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"text_encoder": "gpt"}, "no text encoder 'gpt'; there are minilm, bge"),
        ({"load_in_4bit": True, "load_in_8bit": True}, "exclude one another"),
        ({"pooling": "first"}, "no pooling 'first'; there are cls, mean, lasttoken"),
        ({"lora_rank": 0}, "lora_rank must be at least 1"),
    ],
)
def test_a_config_that_contradicts_itself(options: dict[str, object], words: str) -> None:
    with pytest.raises(EncoderError, match=words):
        EncoderConfig(**options)  # type: ignore[arg-type]


def test_the_flags_fill_the_config_in_either_spelling() -> None:
    parser = argparse.ArgumentParser()
    add_encoder_flags(parser)
    assert encoder_config(parser.parse_args([])) == EncoderConfig()
    given = "--text-encoder qwen --model_path models/q --load_in_4bit --lora-rank 4 --lora_alpha 8"
    config = encoder_config(parser.parse_args(given.split()))
    assert config.model == "models/q"
    assert (config.num_bits, config.lora_rank, config.lora_alpha) == (4, 4, 8)


MODELLING = """
import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput


class QWenConfig(PretrainedConfig):
    model_type = "qwen"

    def __init__(self, vocab_size=257, hidden_size=32, num_hidden_layers=2, **kwargs):
        self.vocab_size, self.hidden_size, self.num_hidden_layers = vocab_size, hidden_size, num_hidden_layers
        super().__init__(**kwargs)


class Block(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.c_attn, self.c_proj = nn.Linear(size, 3 * size), nn.Linear(size, size)

    def forward(self, hidden, mask):
        query, key, value = self.c_attn(hidden).chunk(3, dim=-1)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return hidden + self.c_proj(mixed)


class QWenModel(PreTrainedModel):
    config_class = QWenConfig

    def __init__(self, config):
        super().__init__(config)
        self.wte = nn.Embedding(config.vocab_size, config.hidden_size)
        self.h = nn.ModuleList(Block(config.hidden_size) for _ in range(config.num_hidden_layers))
        self.post_init()

    def get_input_embeddings(self):
        return self.wte

    def forward(self, input_ids, attention_mask=None, **kwargs):
        length = input_ids.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        mask = causal & attention_mask.bool()[:, None, :] | torch.eye(length, dtype=torch.bool)
        hidden = self.wte(input_ids)
        for block in self.h:
            hidden = block(hidden, mask)
        return BaseModelOutput(last_hidden_state=hidden)
"""


def test_first_generation_qwen_needs_leave_to_run_its_code(tmp_path: Path) -> None:
    """Its checkpoints carry their own code; a stand-in with its module names is loaded the same way."""
    namespace: dict[str, object] = {"__name__": "modeling_qwen"}
    exec(MODELLING, namespace)
    model = namespace["QWenModel"](namespace["QWenConfig"]())  # type: ignore[operator]
    folder = tiny.checkpoint(tmp_path / "m", "llama")
    model.save_pretrained(folder)
    (folder / "modeling_qwen.py").write_text(MODELLING, encoding="utf-8")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["auto_map"] = {"AutoConfig": "modeling_qwen.QWenConfig", "AutoModel": "modeling_qwen.QWenModel"}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(UnknownArchitecture):
        load_encoder(EncoderConfig("qwen", model_path=folder, device="cpu"))
    trusted = EncoderConfig("qwen", model_path=folder, device="cpu", trust_remote_code=True)
    encoder = load_encoder(trusted)
    assert encoder.encode(["paris", "lima in peru"]).shape == (2, 32)
    make_trainable(encoder, "lora")
    assert adapted_modules(encoder) == ["h.0.c_attn", "h.1.c_attn"]
