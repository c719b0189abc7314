"""Tokens a second of `TextEncoder.encode` over those of sentence-transformers alone, same model, by turns.

python benchmarks/encoders.py --model-path models/all-MiniLM-L6-v2
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

from sentence_transformers import SentenceTransformer

from kblampp.align.dataset import build_dataset, unique_texts
from kblampp.encoders.config import add_encoder_flags, encoder_config
from kblampp.encoders.loading import load_encoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_encoder_flags(parser)
    parser.add_argument(
        "--sentences", type=int, default=200, help="of the alignment's grammar, eight texts each"
    )
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    config = encoder_config(arguments)
    encoder = load_encoder(config)
    # sentence-transformers would take the precision that the checkpoint is stored in.
    options = {"dtype": encoder.model.dtype}
    alone = SentenceTransformer(config.model, device=str(encoder.model.device), model_kwargs=options)
    texts = unique_texts(build_dataset(arguments.sentences))
    num_tokens = sum(len(ids) for ids in encoder.model.tokenizer(texts)["input_ids"])

    def seconds(run: Callable[[], object]) -> float:
        started = time.perf_counter()
        run()
        return time.perf_counter() - started

    ours, theirs = [], []
    for _ in range(arguments.rounds + 1):  # the first round warms up
        ours.append(seconds(lambda: encoder.encode(texts)))
        theirs.append(seconds(lambda: alone.encode(texts, batch_size=config.batch_size)))
    rates = {
        name: num_tokens / statistics.median(times[1:]) for name, times in (("ours", ours), ("alone", theirs))
    }
    print(
        json.dumps(
            {
                "model": config.model,
                "tokens": num_tokens,
                "tokens_per_s": round(rates["ours"]),
                "tokens_per_s_alone": round(rates["alone"]),
                "ratio": round(rates["ours"] / rates["alone"], 3),
                "rounds": arguments.rounds,
            }
        )
    )


if __name__ == "__main__":
    main()
