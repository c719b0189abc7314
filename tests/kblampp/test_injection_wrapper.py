"""Facts go into a decoder and come out again, and nothing else changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig

from kblampp.answering import Query, QuestionAnswerer, left_padded
from kblampp.config import Config
from kblampp.errors import ConfigError, UnsupportedBackbone
from kblampp.families import FAMILIES, backbone_family
from kblampp.fusion import Knowledge
from kblampp.injection_wrapper import KBInjectedModel
from kblampp.selector import KBSelector
from tests.kblampp.injection import make_answerer, questions

D, d, SLOTS, VOCABULARY = 64, 16, 5, 50
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": D,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "pad_token_id": 0,
}


def backbone(model_type: str) -> Any:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **SIZES))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(5.0)  # so that tokens differ in more than the last digits
    return model.eval().requires_grad_(False)


def injected(model: Any, value_source: str = "backbone", copies: bool = False) -> KBInjectedModel:
    torch.manual_seed(1)
    return KBInjectedModel(
        model,
        KBSelector(d),
        inject_layers=[0, 2],
        d_key=d,
        d_attention=8,
        num_slots=SLOTS,
        refusal_ids=[1, 2, 3],
        value_source=value_source,
        has_copy_head=copies,
    )


def stirred(model: KBInjectedModel) -> KBInjectedModel:
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.attentions.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3)
    return model


def knowledge(model: KBInjectedModel, num_rows: int, num_facts: int = 4) -> Knowledge:
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(4, VOCABULARY, (num_rows, num_facts, SLOTS), generator=generator)
    is_slot = torch.ones(num_rows, num_facts, SLOTS, dtype=torch.bool)
    is_slot[:, 0, 3:] = False
    return Knowledge(
        keys=torch.nn.functional.normalize(torch.randn(num_rows, num_facts, d, generator=generator), dim=-1),
        log_alpha=torch.randn(num_rows, num_facts, generator=generator).log_softmax(-1),
        slots=model.embedded(ids),
        is_slot=is_slot,
        tails=torch.randn(num_rows, num_facts, d, generator=generator),
        slot_ids=ids,
    )


@pytest.fixture(params=sorted(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def answerer(world: Config) -> Iterator[QuestionAnswerer]:
    made = make_answerer(world)
    yield made
    made.retriever.store.close()


IDS = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12]])


@pytest.mark.parametrize("value_source", ["backbone", "encoder", "both"])
def test_an_untrained_injection_changes_no_bit(family: str, value_source: str) -> None:
    model = backbone(family)
    before = model(input_ids=IDS).logits
    wrapped = injected(model, value_source)
    after = wrapped(knowledge(wrapped, 2), input_ids=IDS).logits
    assert set(wrapped.injected) == {0, 2}
    assert torch.equal(before, after)


@pytest.mark.parametrize("value_source", ["backbone", "encoder", "both"])
def test_a_trained_one_does_and_taken_out_it_is_gone(family: str, value_source: str) -> None:
    model = backbone(family)
    before = model(input_ids=IDS).logits
    wrapped = stirred(injected(model, value_source))
    facts = knowledge(wrapped, 2)
    with torch.no_grad():
        changed = wrapped(facts, input_ids=IDS).logits
    assert (changed - before).abs().max() > 1e-2
    assert torch.equal(model(input_ids=IDS).logits, before)  # facts are given to one pass
    wrapped.take_out()
    with wrapped.given(facts):
        assert torch.equal(model(input_ids=IDS).logits, before)
    wrapped.put_in()
    with wrapped.given(facts), torch.no_grad():
        assert torch.equal(model(input_ids=IDS).logits, changed)


def test_cached_generation_equals_uncached(family: str) -> None:
    wrapped = stirred(injected(backbone(family)))
    facts = knowledge(wrapped, 2)
    options: dict[str, Any] = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": -1}
    batch = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS)}
    with wrapped.given(facts):
        cached = wrapped.backbone.generate(**batch, use_cache=True, **options)
        uncached = wrapped.backbone.generate(**batch, use_cache=False, **options)
    plain = wrapped.backbone.generate(**batch, use_cache=True, **options)
    assert torch.equal(cached, uncached)
    assert not torch.equal(cached, plain)


def test_a_padded_batch_equals_its_rows_alone(family: str) -> None:
    wrapped = stirred(injected(backbone(family)))
    rows = [[5, 6, 7, 8, 9, 10], [11, 12, 13], [14]]
    facts = knowledge(wrapped, 3)
    batch = left_padded(rows, 0, "cpu")
    positions = (batch["attention_mask"].cumsum(-1) - 1).clamp(min=0)
    with torch.no_grad():
        together = wrapped(facts, **batch, position_ids=positions).logits[:, -1]
        for number, row in enumerate(rows):
            mine = {name: getattr(facts, name)[number : number + 1] for name in facts.__dataclass_fields__}
            alone = wrapped(Knowledge(**mine), input_ids=torch.tensor([row])).logits[0, -1]
            torch.testing.assert_close(together[number], alone, rtol=1e-4, atol=1e-4)


def test_only_kb_modules_learn_and_are_saved() -> None:
    wrapped = injected(backbone("llama"))
    loss = wrapped(knowledge(wrapped, 2), input_ids=IDS).logits.square().mean()
    loss.backward()
    assert not [name for name, it in wrapped.backbone.named_parameters() if it.grad is not None]
    readers = [f"{name}.{part}" for name in ("slot_query", "next_query") for part in (0, 2)]
    attention = ("query", "key", *readers, "next_key", "down", "up")
    own = [
        "slot_places",
        "start",
        "scale",
        "gate.weight",
        "gate.bias",
        *(f"{name}.weight" for name in attention),
    ]
    saved = {name for name in wrapped.kb_state() if not name.startswith("selector.graph.")}
    assert saved == {
        *(f"attentions.{layer}.{name}" for layer in (0, 2) for name in own),
        "null_key",
        "selector.query_map.change",
        "selector.time.form",
        "selector.path_map.change",
        "selector.by_depth.weight",
        "selector.rho",
        "selector.mu",
        "selector.gamma",
        "selector.eta",
        "selector.delta",
        "selector.log_temperature",
        "selector.null.weight",
        "selector.null.bias",
    }


def test_the_order_of_facts_does_not_matter() -> None:
    wrapped = stirred(injected(backbone("llama")))
    facts = knowledge(wrapped, 2)
    order = [2, 0, 3, 1]
    moved = Knowledge(*(getattr(facts, name)[:, order] for name in facts.__dataclass_fields__))
    with torch.no_grad():
        first, second = (wrapped(it, input_ids=IDS).logits for it in (facts, moved))
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-4)


def test_a_copy_head_mixes_the_weights_into_the_output() -> None:
    model = backbone("llama")
    before = model(input_ids=IDS).logits
    wrapped = stirred(injected(model, copies=True))
    facts = knowledge(wrapped, 2)
    with torch.no_grad():
        plain = wrapped(facts, input_ids=IDS).logits
        wrapped.take_out()
        assert torch.equal(model(input_ids=IDS).logits, before)
        wrapped.put_in()
        assert wrapped.copy_head is not None
        wrapped.copy_head.scale.fill_(0.5)
        mixed = wrapped(facts, input_ids=IDS, logits_to_keep=2).logits
        p = 0.75 * plain[:, -2:].softmax(-1)  # half a share of a gate that is half open
        done = wrapped.injected[2]
        for row in range(2):
            for token in range(2):
                copied = torch.zeros(VOCABULARY)
                copied.scatter_add_(0, facts.slot_ids[row].flatten(), done.weights[row, 2 + token].flatten())
                torch.testing.assert_close(mixed[row, token].softmax(-1), p[row, token] + 0.25 * copied)
    with pytest.raises(ConfigError, match="no tokens to copy"):
        injected(backbone("llama"), "encoder", copies=True)


def test_beams_share_the_facts_of_their_question() -> None:
    wrapped = stirred(injected(backbone("llama")))
    facts = knowledge(wrapped, 2)
    with wrapped.given(facts):
        made = wrapped.backbone.generate(
            input_ids=IDS, attention_mask=torch.ones_like(IDS), num_beams=3, max_new_tokens=3, do_sample=False
        )
    assert made.shape[0] == 2
    with pytest.raises(ValueError, match="3 rows cannot share the facts of 2 questions"):
        facts.for_batch(3)


def test_gradient_checkpointing_gives_the_same_gradients() -> None:
    found = []
    for is_checkpointed in (False, True):
        model = backbone("llama")
        wrapped = stirred(injected(model)).train()
        if is_checkpointed:
            model.gradient_checkpointing_enable({"use_reentrant": False})
            model.enable_input_require_grads()
        wrapped(knowledge(wrapped, 2), input_ids=IDS, use_cache=False).logits.square().mean().backward()
        found.append({name: it.grad for name, it in wrapped.attentions.named_parameters()})
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name], msg=name)


def test_lora_around_the_backbone() -> None:
    model = backbone("llama")
    wrapped = stirred(injected(model))
    facts = knowledge(wrapped, 2)
    with torch.no_grad():
        before = wrapped(facts, input_ids=IDS).logits
    wrapped.take_out()
    wrapped.backbone = get_peft_model(model, LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM"))
    wrapped.put_in()
    with torch.no_grad():
        torch.testing.assert_close(wrapped(facts, input_ids=IDS).logits, before)
    assert not [name for name in wrapped.kb_state() if "lora" in name]


def test_four_bits(tmp_path: Any) -> None:
    backbone("llama").save_pretrained(tmp_path)
    settings = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.float32)
    model = AutoModelForCausalLM.from_pretrained(
        tmp_path, quantization_config=settings, device_map={"": "cpu"}
    )
    before = model(input_ids=IDS).logits
    wrapped = injected(model)
    facts = knowledge(wrapped, 2)
    assert torch.equal(wrapped(facts, input_ids=IDS).logits, before)
    wrapped = stirred(wrapped)
    loss = wrapped(facts, input_ids=IDS).logits.square().mean()
    loss.backward()
    scale = wrapped.attentions["2"].scale
    assert scale.grad is not None and scale.grad.isfinite() and scale.grad != 0


def test_tokens_are_needed() -> None:
    wrapped = injected(backbone("llama"))
    with pytest.raises(ConfigError, match="not embeddings"):
        wrapped(knowledge(wrapped, 2), inputs_embeds=torch.zeros(2, 4, D))


def test_what_cannot_be_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedBackbone, match=r"'bloom'.*llama, qwen2"):
        backbone_family("bloom")
    model = backbone("llama")
    with pytest.raises(ConfigError, match="no layer 3; there are 0 to 2"):
        KBInjectedModel(
            model, KBSelector(d), inject_layers=[3], d_key=d, d_attention=8, num_slots=5, refusal_ids=[1]
        )
    with pytest.raises(ConfigError, match="refusal has 6 tokens"):
        KBInjectedModel(
            model, KBSelector(d), inject_layers=[1], d_key=d, d_attention=8, num_slots=5, refusal_ids=[1] * 6
        )


def test_answers_of_a_batch_equal_those_alone(world: Config) -> None:
    # In bfloat16 a random model has ties, which the width of a batch decides.
    answerer = make_answerer(replace(world, train=replace(world.train, precision="float32")))
    queries = [Query(it.question, it.question_time) for it in questions()]
    together = answerer.answer(queries)
    for query, answer in zip(queries, together, strict=True):
        alone = answerer.answer([query])[0]
        assert alone.text == answer.text
        assert [it.fact.id for it in alone.evidence] == [it.fact.id for it in answer.evidence]
        assert alone.betas == pytest.approx(answer.betas, abs=1e-4)
    answerer.retriever.store.close()


def test_log_probability_is_the_sum_over_the_answers_tokens(answerer: QuestionAnswerer) -> None:
    queries = [Query("Where was Ada Brook born?"), Query("Who is the spouse of Otto Venn?")]
    texts = ["Arden", "Ida"]
    found = answerer.log_probability(queries, texts)
    for query, text, value in zip(queries, texts, found, strict=True):
        prompt = answerer.answers.encode(answerer.answers.prompt(query.question))
        answer = [*answerer.answers.answer_ids(text), answerer.answers.end_id]
        ids = torch.tensor([prompt + answer])
        with torch.no_grad():
            facts = answerer.model.knowledge_of(answerer.select([query]))
            scores = answerer.model(facts, input_ids=ids).logits[0].log_softmax(-1)
        by_hand = sum(scores[len(prompt) - 1 + place, token] for place, token in enumerate(answer))
        assert value == pytest.approx(float(by_hand), rel=0.02)  # the backbone is in bfloat16


def test_a_removed_fact_is_not_chosen(answerer: QuestionAnswerer) -> None:
    query = Query("Where was Ada Brook born?")
    best = answerer.answer([query])[0].evidence[0]
    without = answerer.answer([query], without=[[best.row]])[0]
    assert best.row not in [it.row for it in without.evidence]
    alphas = [*(it.alpha for it in without.evidence), without.refusal_alpha]
    assert sum(alphas) == pytest.approx(1, abs=1e-5)


def test_the_chat_template_is_refused_where_there_is_none(world: Config) -> None:
    with pytest.raises(ConfigError, match="has no chat template"):
        make_answerer(replace(world, use_chat_template=True))
