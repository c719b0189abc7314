"""Decisions are read off walks, and a model is asked for nothing but its next tag."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from tests.verl_ext import tiny
from verl_ext.stop_accuracy import MAX_NEW_TOKENS, Decision, decisions, stop_accuracy


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("model")
    tiny.write_model(folder)
    return AutoTokenizer.from_pretrained(str(folder))


class Scripted:
    """Continues every prompt with the text that it is told to give after the prompt's last word."""

    device = torch.device("cpu")

    def __init__(self, tokenizer: Any, says: dict[str, str]) -> None:
        self.tokenizer, self.says = tokenizer, says

    def generate(self, ids: torch.Tensor, **options: Any) -> torch.Tensor:
        assert options["max_new_tokens"] == MAX_NEW_TOKENS
        assert not options["do_sample"]
        rows = []
        for row, mask in zip(ids.tolist(), options["attention_mask"].tolist(), strict=True):
            prompt = self.tokenizer.decode([i for i, kept in zip(row, mask, strict=True) if kept])
            said = self.tokenizer.encode(self.says[prompt.split()[-1]], add_special_tokens=False)
            rows.append(row + said)
        longest = max(map(len, rows))
        return torch.tensor([row + [self.tokenizer.pad_token_id] * (longest - len(row)) for row in rows])


def test_every_learned_turn_is_a_decision(tokenizer: Any) -> None:
    def ids(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False)

    parts = [("Where? ", 0), ("<search>Paris</search>", 1), ("Oslo ", 0), ("<answer>Oslo</answer>", 1)]
    pieces = [(ids(text), learned) for text, learned in parts]
    walk = [token for piece, _ in pieces for token in piece]
    mask = [bool(learned) for piece, learned in pieces for _ in piece]
    first, second = decisions(walk, mask, "2-hop", tokenizer)
    assert first == Decision(pieces[0][0], is_answer=False, group="2-hop")
    assert second.is_answer
    assert second.prompt_ids == walk[: -len(pieces[3][0])]


def test_the_first_tag_decides_and_none_is_wrong(tokenizer: Any) -> None:
    model = Scripted(
        tokenizer,
        {
            "Paris": "<search>x</search><answer>",
            "Oslo": "<answer>Oslo</answer><search>",
            "Rome": "Rome Rome",
        },
    )

    def asked(word: str, is_answer: bool, group: str) -> Decision:
        return Decision(tokenizer.encode(f"Where? {word}", add_special_tokens=False), is_answer, group)

    found = stop_accuracy(
        model,
        tokenizer,
        [
            asked("Paris", False, "1-hop"),
            asked("Paris", True, "1-hop"),
            asked("Oslo", True, "1-hop"),
            asked("Oslo", False, "2-hop"),
            asked("Rome", False, "2-hop"),
            asked("Rome", True, "2-hop"),
        ],
    )
    assert found == {"1-hop": (2, 3), "2-hop": (0, 3)}


def test_a_real_decoder_with_batches_of_unequal_length(tmp_path: Path) -> None:
    """Right and wrong do not depend on what stands beside a prompt in its batch."""
    folder = tmp_path / "model"
    tiny.write_model(folder)
    from transformers import AutoModelForCausalLM

    tokenizer: Any = AutoTokenizer.from_pretrained(str(folder))
    model: Any = AutoModelForCausalLM.from_pretrained(str(folder)).eval()
    asked = [
        Decision(tokenizer.encode("Paris " * number, add_special_tokens=False), False, f"{number}")
        for number in (1, 3, 9)
    ]
    together = stop_accuracy(model, tokenizer, asked)
    alone = {group: found for one in asked for group, found in stop_accuracy(model, tokenizer, [one]).items()}
    assert together == alone
    assert {total for _, total in together.values()} == {1}
