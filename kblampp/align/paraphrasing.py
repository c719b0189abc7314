"""Paraphrases and hard negatives by a language model behind an OpenAI-compatible chat endpoint."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace

import httpx
from tqdm import tqdm

from kblampp.align.dataset import NUM_HARD_NEGATIVES, NUM_PARAPHRASES, Sentence
from kblampp.align.errors import ProviderError
from kblampp.align.providers import TIMEOUT_S

logger = logging.getLogger(__name__)
NUM_TRIES = 3  # for one sentence, which is left as the grammar wrote it when none gives what was asked for
TEMPERATURE = 0.8
_REQUEST = (
    "Sentence: {text}\n"
    f"Write {NUM_PARAPHRASES} paraphrases that keep its whole meaning in other words, and "
    f"{NUM_HARD_NEGATIVES} sentences that look alike but mean something else. Answer with one JSON object: "
    '{{"paraphrases": [...], "hard_negatives": [...]}}'
)


def paraphrase(
    sentences: Sequence[Sentence], base_url: str, model: str, key: str | None = None
) -> list[Sentence]:
    """The sentences with paraphrases and hard negatives by the model, those of the grammar where it fails.

    A warning says how many those are.

    Raises ProviderError when the server does not answer, or refuses.
    """
    url = f"{base_url.rstrip('/')}/chat/completions"
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    made, num_failed = [], 0
    with httpx.Client(timeout=TIMEOUT_S, headers=headers) as client:
        for one in tqdm(sentences, desc="paraphrases", unit="sentence"):
            written = _written(client, url, model, one.text)
            num_failed += written is None
            made.append(one if written is None else replace(one, **written))
    if num_failed:
        logger.warning("%d of %d sentences stay as the grammar wrote them", num_failed, len(sentences))
    return made


def _written(client: httpx.Client, url: str, model: str, text: str) -> dict[str, tuple[str, ...]] | None:
    for attempt in range(NUM_TRIES):
        body = {
            "model": model,
            "messages": [{"role": "user", "content": _REQUEST.format(text=text)}],
            "temperature": TEMPERATURE,
            "seed": attempt,
        }
        try:
            response = client.post(url, json=body)
        except httpx.HTTPError as error:
            raise ProviderError(f"{url} does not answer ({error or type(error).__name__})") from error
        if response.status_code != 200:
            raise ProviderError(f"{url} refused model {model!r} with status {response.status_code}")
        read = _read(response.text, text)
        if read is not None:
            return read
    return None


def _read(reply: str, text: str) -> dict[str, tuple[str, ...]] | None:
    """What a reply holds; None when it is not what was asked for."""
    try:
        content = json.loads(reply)["choices"][0]["message"]["content"]
        found = json.loads(content[content.index("{") : content.rindex("}") + 1])
        lists = {name: tuple(found[name]) for name in ("paraphrases", "hard_negatives")}
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None
    wanted = {"paraphrases": NUM_PARAPHRASES, "hard_negatives": NUM_HARD_NEGATIVES}
    texts = [text, *lists["paraphrases"], *lists["hard_negatives"]]
    is_whole = all(isinstance(item, str) and item.strip() for item in texts) and len(set(texts)) == len(texts)
    return lists if is_whole and all(len(lists[name]) == number for name, number in wanted.items()) else None
