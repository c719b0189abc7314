"""Texts to vectors, the same way for both families: batched, sorted by length, kept on disk."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling
from torch import Tensor

from kblampp.encoders.cache import VectorCache, vector_key
from kblampp.encoders.checkpoint import Checkpoint
from kblampp.encoders.config import EncoderConfig
from kblampp.encoders.families import Family


class TextEncoder:
    """A pooled language model. `load_encoder` makes one.

    Attributes:
        model: the sentence-transformers model: the transformer, its pooling, and what comes after it.
        family: what the checkpoint's model type decides.
        config: as it was asked for.
    """

    def __init__(
        self, model: SentenceTransformer, family: Family, config: EncoderConfig, checkpoint: Checkpoint
    ) -> None:
        self.model = model
        self.family = family
        self.config = config
        self._checkpoint = checkpoint
        self._cache = VectorCache(config.cache) if config.cache else None
        self._revision: str | None = None
        self._is_changed = False

    @property
    def dim(self) -> int:
        """Length of a vector."""
        dim = self.model.get_embedding_dimension()
        assert dim is not None  # only models of bags of words have none
        return dim

    @property
    def revision(self) -> str:
        """Which weights these are: the hub's commit, or a digest of the files, read once."""
        if self._revision is None:
            self._revision = self._checkpoint.revision()
        return self._revision

    @property
    def pooling(self) -> str:
        """How the tokens' vectors become one: 'cls', 'mean' or 'lasttoken', joined by '+' if several."""
        modes = next(module for module in self.model if isinstance(module, Pooling)).pooling_mode
        return modes if isinstance(modes, str) else "+".join(modes)

    @property
    def query_prefix(self) -> str:
        """What stands before a query: as the checkpoint says, or its name's model card, or its family."""
        if prompt := self.model.prompts.get("query"):
            return prompt
        if self.config.named.query_prefix is not None:
            return self.config.named.query_prefix
        return f"Instruct: {self.config.instruction}\nQuery: "

    @property
    def document_prefix(self) -> str:
        """What stands before a text that is no query; '' for most checkpoints."""
        return self.model.prompts.get("document") or ""

    def encode(
        self,
        texts: Sequence[str],
        *,
        as_queries: bool = False,
        normalise: bool = False,
        show_progress: bool = False,
    ) -> np.ndarray:
        """The vectors of texts, without gradients.

        Args:
            texts: any; an empty one counts as a space, and what is no Unicode text is replaced.
            as_queries: puts the query prefix before each.
            normalise: to length 1.
            show_progress: a bar on stderr.

        Returns:
            float32 [len(texts), dim], in the order of the texts.
        """
        prefix = self.query_prefix if as_queries else self.document_prefix
        written = [prefix + _encodable(text) for text in texts]
        if not written:
            return np.zeros((0, self.dim), dtype=np.float32)
        unique = list(dict.fromkeys(written))
        vectors = self._vectors(unique, show_progress)
        row = {text: number for number, text in enumerate(unique)}
        found = vectors[[row[text] for text in written]]
        return _unit(found) if normalise else found

    def forward(self, texts: Sequence[str], *, as_queries: bool = False) -> Tensor:
        """The vectors ([len(texts), dim]) with gradients, for training; one batch, nothing from the cache."""
        prefix = self.query_prefix if as_queries else self.document_prefix
        features = self.model.preprocess([prefix + _encodable(text) for text in texts])
        features = {
            name: value.to(self.model.device) if isinstance(value, Tensor) else value
            for name, value in features.items()
        }
        vectors: Tensor = self.model(features)["sentence_embedding"]
        return vectors

    def mark_changed(self) -> None:
        """Says that the weights are no longer the checkpoint's: the cache is neither read nor written."""
        self._is_changed = True

    def close(self) -> None:
        """Closes the cache."""
        if self._cache is not None:
            self._cache.close()

    def _vectors(self, texts: list[str], show_progress: bool) -> np.ndarray:
        if self._cache is None or self._is_changed:
            return self._compute(texts, show_progress)
        recipe = self._recipe()
        keys = [vector_key(recipe, text) for text in texts]
        known = self._cache.get(keys)
        missing = [number for number, key in enumerate(keys) if key not in known]
        if missing:
            made = self._compute([texts[number] for number in missing], show_progress)
            new = {keys[number]: vector for number, vector in zip(missing, made, strict=True)}
            self._cache.put(new)
            known.update(new)
        return np.stack([known[key] for key in keys])

    def _compute(self, texts: list[str], show_progress: bool) -> np.ndarray:
        return self.model.encode(
            texts,
            prompt="",
            batch_size=self.config.batch_size,
            show_progress_bar=show_progress,
            convert_to_numpy=True,
            normalize_embeddings=False,
        ).astype(np.float32, copy=False)

    def _recipe(self) -> dict[str, object]:
        """All but the text that a vector depends on."""
        return {
            "revision": self.revision,
            "pooling": self.pooling,
            "max_length": self.model.max_seq_length,
            "num_bits": self.config.num_bits,
            "dtype": str(self.model.dtype),
        }


def _encodable(text: str) -> str:
    # A decoder's tokenizer makes no token of an empty text, and tokenizers refuse lone surrogates.
    return text.encode("utf-8", errors="replace").decode("utf-8") or " "


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
