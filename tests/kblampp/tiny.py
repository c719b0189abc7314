"""Tiny random checkpoints of every architecture, written as real ones are."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

SENTENCE = (
    "the capital of france is paris which river flows through berlin and lima a an in on at borders "
    "country city airport currency euro peso mountain lake instruct query given find texts that answer"
)
HIDDEN = 64  # 4-bit weights come in blocks of 64
_SIZES = {"hidden_size": HIDDEN, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
_DECODER = {**_SIZES, "num_key_value_heads": 2, "max_position_embeddings": 128, "head_dim": 16}
_POSITIONS = {"max_position_embeddings": 130}
CONFIGS = {
    "bert": {**_SIZES, **_POSITIONS},
    "roberta": {**_SIZES, **_POSITIONS},
    "xlm-roberta": {**_SIZES, **_POSITIONS},
    "mpnet": {**_SIZES, **_POSITIONS},
    "distilbert": {"dim": HIDDEN, "hidden_dim": 128, "n_layers": 2, "n_heads": 4, **_POSITIONS},
    "llama": _DECODER,
    "mistral": {**_DECODER, "sliding_window": None},
    "qwen2": _DECODER,
    "qwen3": _DECODER,
    "smollm3": _DECODER,
    "gemma3_text": _DECODER,
}


def checkpoint(
    folder: Path, model_type: str, *, pad: bool = True, seed: int = 0, words: str = SENTENCE
) -> Path:
    """A random checkpoint; a decoder's tokenizer puts nothing before a text and has no padding token.

    `words` are those that an encoder's tokenizer knows.
    """
    is_decoder = "num_key_value_heads" in CONFIGS[model_type]
    tokenizer = _decoder_tokenizer() if is_decoder else _encoder_tokenizer(words)
    config = AutoConfig.for_model(model_type, vocab_size=len(tokenizer), **CONFIGS[model_type])
    config.pad_token_id = tokenizer.pad_token_id if pad else None
    config.bos_token_id = config.eos_token_id = tokenizer.eos_token_id
    torch.manual_seed(seed)
    model = AutoModel.from_config(config)
    with torch.no_grad():
        # transformers' initial weights are so small that texts differ in the last digits only.
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(10.0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def pooled_like_a_sentence_transformer(folder: Path, mode: str) -> Path:
    """Adds the files by which sentence-transformers says how a checkpoint is pooled."""
    kinds = (("0", "", "Transformer"), ("1", "1_Pooling", "Pooling"), ("2", "2_Normalize", "Normalize"))
    modules = [
        {"idx": number, "name": name, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (name, path, kind) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 64}', encoding="utf-8")
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": HIDDEN, f"pooling_mode_{mode}": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling), encoding="utf-8")
    return folder


def _encoder_tokenizer(words: str) -> PreTrainedTokenizerFast:
    special = ["[UNK]", "[PAD]", "[CLS]", "[SEP]"]  # MPNet takes id 1 for padding, whatever its config says
    vocab = {word: number for number, word in enumerate([*special, *dict.fromkeys(words.split())])}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        eos_token="[SEP]",
        model_max_length=128,
    )


def _decoder_tokenizer() -> PreTrainedTokenizerFast:
    """Bytes, as byte-level BPE without a single merge."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {letter: number for number, letter in enumerate(["<|endoftext|>", *letters])}
    tokenizer = Tokenizer(models.BPE(vocab, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|endoftext|>", model_max_length=128
    )
