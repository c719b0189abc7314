"""One YAML file says everything about a run: data, encoder, store, backbone, injection, training."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from kblampp.encoders.config import TEXT_ENCODERS, EncoderConfig
from kblampp.errors import ConfigError

SOURCES = ("synth_world", "hotpot", "timeqa", "trex", "kg")
ANSWER_FORMS = ("bare", "sentence")
TRACKERS = ("wandb", "tensorboard")
VALUE_SOURCES = ("backbone", "encoder", "both")
VALUE_TEXTS = ("tail", "statement")
# Spellings that the plan of the project used beside those of today.
_OLD_SPELLINGS = {"train_dataset": "train_qa_path", "eval_dataset": "dev_qa_path"}


@dataclass
class StoreConfig:
    """Where vectors and index are, and how they are made."""

    path: str = "store/synth_world"
    hnsw_m: int = 32
    """Neighbours of a node of the HNSW graph."""
    ef_construction: int = 200
    ef_search: int = 64
    max_exact: int = 10_000
    """Up to that many facts are searched exactly, beyond them by HNSW."""
    max_tail_tokens: int = 8
    """Tokens of a tail that are kept as values; the token that ends an answer follows them."""
    value_text: str = "tail"
    """Whose tokens those are, one of `VALUE_TEXTS`: the tail alone, or 'The birthplace is' and the tail, so
    that a fact is said as a sentence. Statements want more tokens, about 16."""
    encode_batch_size: int = 256


@dataclass
class PipelineConfig:
    """How facts and questions are made."""

    source: str = "synth_world"
    """One of `SOURCES`."""
    input_path: str | None = None
    """The source's own file or folder; synth_world has none."""
    seed: int = 0
    num_facts: int = 1000
    """Of a synthetic world: 200 to 1,000,000."""
    num_train_questions: int = 4000
    num_dev_questions: int = 300
    num_test_questions: int = 300
    share_multi_hop: float = 0.2
    share_multi_hop_train: float | None = 0.4
    """Of the training questions: chains take more examples than facts. None: as the others."""
    share_temporal: float = 0.15
    share_unanswerable: float = 0.1
    answer_form: str = "bare"
    """Of a synthetic world, one of `ANSWER_FORMS`: the tail alone, or 'The birthplace is' and the tail. With
    `store.value_text` 'statement' such a sentence is read from the facts, else only its tail is."""
    is_confusable: bool = False
    """Heads of a synthetic world share first and last names."""
    max_samples: int | None = None
    """Of a real source: how many of its questions; None takes all."""
    llm_base_url: str | None = None
    """An OpenAI-compatible endpoint that writes the sentences of a synthetic world; None: a grammar does."""
    llm_model: str | None = None

    def share_multi_hop_of(self, split: str) -> float:
        """Of the questions of a split."""
        of_train = self.share_multi_hop_train
        return self.share_multi_hop if split != "train" or of_train is None else of_train


@dataclass
class OptimizerConfig:
    """AdamW."""

    type: str = "adamw"
    lr: float = 2e-3
    scalar_lr_factor: float = 10.0
    """Temperatures, gates and scales learn that many times faster."""
    weight_decay: float = 0.01
    warmup_steps: int = 20
    max_grad_norm: float = 1.0


@dataclass
class LossConfig:
    """Weights of the losses; 0 switches one off."""

    answer: float = 1.0
    selector: float = 1.0
    attention: float = 1.0
    time: float = 0.1
    path: float = 0.0
    identity: float = 80.0
    """Holds the query maps near the identity, so that relations never seen are still found."""


@dataclass
class TrainConfig:
    """How long, and where to."""

    output: str = "runs/kblampp"
    num_epochs: float = 3.0
    max_steps: int = -1
    """Ends earlier; -1 does not."""
    question_noise: float = 0.3
    """Length of the random vector added to a question's in training, whose own is 1: held-out wordings lie
    farther from their facts than those that were trained on."""
    save_steps: int = 200
    eval_steps: int = 0
    """Validates every so many steps; 0 only at the end."""
    seed: int = 0
    precision: str = "auto"
    """Of the backbone: float32, bfloat16, or auto: bfloat16."""
    gradient_checkpointing: bool = False
    keep_lower_layers: bool = True
    """Computes the frozen layers below the first injection once and keeps their states in the store."""
    report_to: list[str] = field(default_factory=list)
    """Any of `TRACKERS`; W&B is offline unless WANDB_API_KEY is set."""


@dataclass
class LoraSettings:
    """Stage B: LoRA on the last layers."""

    num_layers: int = 4
    rank: int = 8
    alpha: int = 16
    lr: float = 1e-5


@dataclass
class Config:
    """A run. Field names are those of the plan that the project follows."""

    train_5tuple_path: str = "data/5tuple/synth_world.jsonl"
    train_qa_path: str = "data/qa/synth_world_train.jsonl"
    dev_qa_path: str = "data/qa/synth_world_dev.jsonl"
    test_qa_path: str = "data/qa/synth_world_test.jsonl"
    backbone: str = "Qwen/Qwen2.5-3B-Instruct"
    """A folder or a model of the hub."""
    load_in_4bit: bool = False
    use_chat_template: bool = False
    embedding_model: str = "BAAI/bge-small-en-v1.5"
    """A folder or a model of the hub."""
    text_encoder: str | None = None
    """Short name of the encoder's kind; None: the one whose model `embedding_model` is, else 'bge'."""
    vector_cache: str | None = None
    """A file that keeps vectors of texts, so that another run does not encode the same questions anew."""
    d_ctx: int = 384
    d_k: int = 384
    d_v: int = 384
    d_attention: int = 192
    """Width of the injected attention's own queries and keys."""
    inject_layers: list[int] = field(default_factory=lambda: [12, 20])
    early_layer: int = 4
    """Before which layer a token's early state is read, which knows the tokens just before it."""
    value_source: str = "backbone"
    """One of `VALUE_SOURCES`: the backbone's embeddings of the tail's tokens, its encoded vector, or both."""
    copy_head: bool = False
    """Mixes the same weights into the output distribution; another mechanism, reported apart."""
    K_top: int = 16
    num_candidates: int = 64
    """Facts that the index hands to the selector."""
    num_hops: int = 3
    """Candidates are widened by facts whose head is a tail found before, that many facts deep."""
    use_graph: bool = True
    """Relational attention over the chosen facts."""
    rho: float = 1.0
    """Weight of the path score."""
    mu: float = 1.0
    """Weight of the score of a question's parts."""
    gamma: float = 1.0
    """Weight of the context score."""
    eta: float = 1.0
    """Weight of the time score."""
    delta: float = 2.0
    """Weight of the name score."""
    temperature: float = 1.0
    """Of the softmax over the chosen facts."""
    sharpness: float = 4.0
    """That temperature is divided by it when answers are given; training has it as it is."""
    is_scoring_learnable: bool = True
    batch_size: int = 2
    grad_accum: int = 4
    max_seq_len: int = 512
    max_new_tokens: int = 24
    device: str | None = None
    """None: an accelerator where there is one."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    losses: LossConfig = field(default_factory=LossConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    lora: LoraSettings = field(default_factory=LoraSettings)
    store: StoreConfig = field(default_factory=StoreConfig)
    pipeline: PipelineConfig = field(default_factory=PipelineConfig)

    def __post_init__(self) -> None:
        _check(self)

    @property
    def encoder(self) -> EncoderConfig:
        """The text encoder that `embedding_model` and `text_encoder` name."""
        named = next((name for name, it in TEXT_ENCODERS.items() if it.model == self.embedding_model), None)
        is_folder = Path(self.embedding_model).is_dir()
        return EncoderConfig(
            text_encoder=self.text_encoder or named or "bge",
            model_path=Path(self.embedding_model) if is_folder else None,
            model_name=None if is_folder else self.embedding_model,
            batch_size=self.store.encode_batch_size,
            max_length=64,
            device=self.device,
            cache=Path(self.vector_cache) if self.vector_cache else None,
        )


def _check(config: Config) -> None:
    """Raises ConfigError for values that cannot be."""
    choices = (
        ("value_source", config.value_source, VALUE_SOURCES),
        ("pipeline.source", config.pipeline.source, SOURCES),
        ("store.value_text", config.store.value_text, VALUE_TEXTS),
        ("pipeline.answer_form", config.pipeline.answer_form, ANSWER_FORMS),
        ("optimizer.type", config.optimizer.type, ("adamw",)),
        ("train.precision", config.train.precision, ("auto", "float32", "bfloat16")),
        ("text_encoder", config.text_encoder, (None, *TEXT_ENCODERS)),
    )
    trackers = [("train.report_to", name, TRACKERS) for name in config.train.report_to]
    for name, value, allowed in (*choices, *trackers):
        if value not in allowed:
            raise ConfigError(f"{name} is {value!r}; it can be {', '.join(map(str, allowed))}")
    if config.d_k != config.d_ctx or config.d_v != config.d_ctx:
        raise ConfigError(
            f"d_k {config.d_k} and d_v {config.d_v} must be d_ctx {config.d_ctx}: keys and values on disk "
            "are the encoder's own vectors"
        )
    if not config.inject_layers or sorted(set(config.inject_layers)) != list(config.inject_layers):
        raise ConfigError(
            f"inject_layers must be different layers in rising order, not {config.inject_layers}"
        )
    if config.sharpness <= 0:
        raise ConfigError(f"sharpness must be above 0, not {config.sharpness}")
    for name in ("K_top", "num_candidates", "batch_size", "grad_accum", "max_seq_len", "max_new_tokens"):
        if getattr(config, name) < 1:
            raise ConfigError(f"{name} must be at least 1, not {getattr(config, name)}")
    if config.num_candidates < config.K_top:
        raise ConfigError(f"num_candidates {config.num_candidates} is less than K_top {config.K_top}")


def load_config(paths: Sequence[Path], overrides: Sequence[str] = ()) -> Config:
    """Reads YAML files, later ones over earlier ones, and `key=value` overrides over all.

    Raises:
        ConfigError: a file is missing or malformed, a key is unknown, or a value cannot be; in one line.
    """
    merged = OmegaConf.structured(Config)
    for path in paths:
        try:
            loaded = OmegaConf.load(path)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
        except YAMLError as error:
            raise ConfigError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
        if not isinstance(loaded, DictConfig):
            raise ConfigError(f"{path}: keys with values belong here")
        merged = _merged(merged, _renamed(loaded), str(path))
    if overrides:
        merged = _merged(merged, _from_overrides(overrides), "override")
    config = OmegaConf.to_object(merged)
    assert isinstance(config, Config)
    return config


def _from_overrides(overrides: Sequence[str]) -> DictConfig:
    for override in overrides:
        if "=" not in override:
            raise ConfigError(f"override {override!r} is not of the form key=value")
    return _renamed(OmegaConf.from_dotlist(list(overrides)))


def _renamed(loaded: DictConfig) -> DictConfig:
    return OmegaConf.create(
        {_OLD_SPELLINGS.get(str(name), str(name)): value for name, value in loaded.items()}
    )


def _merged(base: Any, update: DictConfig, where: str) -> Any:
    try:
        return OmegaConf.merge(base, update)
    except OmegaConfBaseException as error:
        first = str(error).splitlines()[0]
        raise ConfigError(f"{where}: {error.full_key or '?'}: {first}") from error


def add_config_flags(parser: argparse.ArgumentParser) -> None:
    """`--config`, `--backbone`, `--device` and `key=value` overrides."""
    parser.add_argument(
        "--config", type=Path, required=True, help="YAML file of the run, configs/synth_world.yaml"
    )
    parser.add_argument(
        "--backbone", type=Path, help="YAML file laid over it, such as configs/backbone_smollm.yaml"
    )
    parser.add_argument("--device", help="cpu, cuda, ...; default: an accelerator where there is one")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="single settings, such as K_top=8")


def parse_flags(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses; overrides may stand before, between and after options."""
    return parser.parse_intermixed_args(argv)


def config_from_flags(arguments: argparse.Namespace) -> Config:
    """The config that `add_config_flags` asked for. Raises ConfigError."""
    paths = [path for path in (arguments.config, arguments.backbone) if path is not None]
    overrides = list(arguments.overrides)
    if arguments.device is not None:
        overrides.append(f"device={arguments.device}")
    return load_config(paths, overrides)
