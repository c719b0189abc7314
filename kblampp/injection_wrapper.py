"""A Hugging Face decoder with facts injected before chosen layers, put in and taken out in place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from kblampp.copy_head import CopyHead
from kblampp.errors import ConfigError
from kblampp.families import base_model, decoder_layers
from kblampp.fusion import Injected, KBAttention, Knowledge
from kblampp.kb_store import NO_TOKEN
from kblampp.selector import KBSelector, Selection

_ROWS_AT_ONCE = 8192


class KBInjectedModel(nn.Module):
    """A backbone, the selector of facts, and an injected attention for each of some layers.

    The backbone's code is not touched: hooks put the attentions in (`put_in`) and out again (`take_out`), and
    they act only while facts are given (`with model.given(knowledge): ...`). Nothing is added to the cache of
    keys and values, since each token's state is changed by itself.

    Args:
        backbone: a causal language model of a family in `families.FAMILIES`, or a PEFT model around one.
        selector: scores facts.
        inject_layers: before which layers, counted from 0.
        early_layer: before which layer a token's early state is read; the first injection's if that is lower.
        d_key: dimensions of the facts' keys.
        d_attention: width of the attentions' own queries and keys.
        num_slots: value slots of a fact, the token that ends an answer included.
        refusal_ids: tokens of the refusal with that token; the value of the null fact.
        value_source: backbone, encoder or both.
        has_copy_head: mixes the weights of the last layer into the output as well.

    Raises:
        UnsupportedBackbone: the family has no entry.
        ConfigError: a layer that the backbone does not have, a refusal longer than the slots, or a copy
            head without the tails' tokens.
    """

    refusal_ids: Tensor
    table_rms: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        selector: KBSelector,
        *,
        inject_layers: Sequence[int],
        early_layer: int = 4,
        d_key: int,
        d_attention: int,
        num_slots: int,
        refusal_ids: Sequence[int],
        value_source: str = "backbone",
        has_copy_head: bool = False,
    ) -> None:
        super().__init__()
        layers = decoder_layers(backbone)
        if wrong := [layer for layer in inject_layers if not 0 <= layer < len(layers)]:
            raise ConfigError(
                f"inject_layers: there is no layer {wrong[0]}; there are 0 to {len(layers) - 1}"
            )
        if len(refusal_ids) > num_slots:
            raise ConfigError(
                f"the refusal has {len(refusal_ids)} tokens; raise store.max_tail_tokens to that"
            )
        self.backbone: Any = backbone
        self.selector = selector
        self.early_layer = min(early_layer, *inject_layers)
        table = self._table()
        self.attentions = nn.ModuleDict(
            {
                str(layer): KBAttention(table.shape[1], d_key, d_attention, num_slots, value_source)
                for layer in inject_layers
            }
        )
        if has_copy_head and value_source == "encoder":
            raise ConfigError("copy_head: there are no tokens to copy; set value_source to backbone or both")
        self.copy_head = CopyHead(table.shape[1]) if has_copy_head else None
        self.null_key = nn.Parameter(torch.zeros(d_key))
        padded = [*refusal_ids, *[NO_TOKEN] * (num_slots - len(refusal_ids))]
        self.register_buffer("refusal_ids", torch.tensor(padded), persistent=False)
        self.register_buffer("table_rms", _rms(table), persistent=False)
        self.injected: dict[int, Injected] = {}
        """What each layer did in the last forward pass while facts were given."""
        self._knowledge: Knowledge | None = None
        self._ids: Tensor | None = None
        self.early: Tensor | None = None
        """States before the early layer, of the last forward pass."""
        self._handles: list[RemovableHandle] = []
        self.put_in()

    def put_in(self) -> None:
        """Registers the hooks; does nothing when they are in."""
        if self._handles:
            return
        base = self.base
        self._handles.append(base.get_input_embeddings().register_forward_pre_hook(self._remember_ids))
        head = base.get_output_embeddings()
        if head is not None:
            self._handles.append(head.register_forward_pre_hook(_contiguous))
            self._handles.append(head.register_forward_hook(self._copy))
        layers = decoder_layers(self.backbone)
        early = layers[self.early_layer]
        self._handles.append(early.register_forward_pre_hook(self._remember_early, with_kwargs=True))
        for name in self.attentions:
            hook = self._hook(int(name))
            self._handles.append(layers[int(name)].register_forward_pre_hook(hook, with_kwargs=True))

    def take_out(self) -> None:
        """Removes the hooks: the backbone is as it came."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    @contextmanager
    def given(self, knowledge: Knowledge | None) -> Iterator[None]:
        """Facts for the forward passes inside; None gives none."""
        before, self._knowledge = self._knowledge, knowledge
        self.injected = {}
        try:
            yield
        finally:
            self._knowledge = before

    def knowledge_of(self, selection: Selection) -> Knowledge:
        """What the layers need of the chosen facts and of the null fact."""
        facts = selection.facts
        B = facts.keys.shape[0]
        null = self.null_key.expand(B, 1, -1)
        ids = torch.cat([facts.tail_ids, self.refusal_ids.expand(B, 1, -1)], 1)
        return Knowledge(
            keys=torch.cat([facts.keys, null], 1),
            log_alpha=selection.log_alpha,
            slots=self.embedded(ids.clamp(min=0)) * (ids != NO_TOKEN)[..., None],
            is_slot=ids != NO_TOKEN,
            tails=torch.cat([facts.tails, torch.zeros_like(null)], 1),
            slot_ids=ids,
        )

    def embedded(self, ids: Tensor) -> Tensor:
        """The backbone's vectors of tokens, float [..., D], divided by the root mean square of all of them.

        Rows of the output matrix, which say what makes a token likely; it is the input matrix where both are
        tied.
        """
        return nn.functional.embedding(ids, self._table()).float() / self.table_rms

    def forward(self, knowledge: Knowledge | None = None, **inputs: Any) -> Any:
        """The backbone's forward pass, with facts.

        With gradients they stay given until the next pass: gradient checkpointing computes layers a second
        time, and must find them then.
        """
        self._knowledge, self.injected = knowledge, {}
        result = self.backbone(**inputs)
        if not torch.is_grad_enabled():
            self._knowledge = None
        return result

    def forward_from(
        self, knowledge: Knowledge, ids: Tensor, early: Tensor, states: Tensor, **inputs: Any
    ) -> Any:
        """As `forward`, for a backbone cut down to its upper layers.

        Args:
            knowledge: the facts.
            ids: int64 [B, T], the tokens.
            early: [B, T, D], before the early layer.
            states: [B, T, D], before the first layer that is left.
            inputs: other arguments of the backbone, such as the attention mask.
        """
        self._knowledge, self.injected, self._ids, self.early = knowledge, {}, ids, early
        return self.backbone(inputs_embeds=states, **inputs)

    def kb_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Names and parameters of all but the backbone."""
        return ((name, it) for name, it in self.named_parameters() if not name.startswith("backbone."))

    def kb_state(self) -> dict[str, Tensor]:
        """What a checkpoint holds: tensors of all but the backbone."""
        return {name: it for name, it in self.state_dict().items() if not name.startswith("backbone.")}

    @property
    def base(self) -> Any:
        """The causal language model, without a PEFT wrapper."""
        return base_model(self.backbone)

    @property
    def device(self) -> torch.device:
        """Where the KB modules are."""
        return self.null_key.device

    def _table(self) -> Tensor:
        weight: Tensor = (self.base.get_output_embeddings() or self.base.get_input_embeddings()).weight
        return weight

    def _remember_ids(self, _: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        self._ids = arguments[0]

    def _remember_early(self, _: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        self.early = arguments[0] if arguments else named["hidden_states"]

    def _copy(self, _: nn.Module, __: tuple[Tensor, ...], logits: Tensor) -> Tensor:
        if self._knowledge is None or self.copy_head is None:
            return logits
        knowledge = self._knowledge.for_batch(logits.shape[0])
        mixed: Tensor = self.copy_head(logits, self.injected[max(self.injected)], knowledge)
        return mixed

    def _hook(self, layer: int) -> Any:
        def inject(_: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
            if self._knowledge is None:
                return None
            hidden = arguments[0] if arguments else named["hidden_states"]
            if self._ids is None or self._ids.shape != hidden.shape[:2]:
                raise ConfigError(
                    "facts are injected into tokens; give the backbone input_ids, not embeddings"
                )
            knowledge = self._knowledge.for_batch(hidden.shape[0])
            assert self.early is not None
            done = self.attentions[str(layer)](hidden, self.early, self.embedded(self._ids), knowledge)
            self.injected[layer] = done
            if arguments:
                return (done.hidden, *arguments[1:]), named
            return arguments, named | {"hidden_states": done.hidden}

        return inject


def _contiguous(_: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    # The last states of a batch, cut out of all of them, are not contiguous; a linear layer on a processor
    # then copies its whole matrix once a row, which took more than half of a training step.
    return (arguments[0].contiguous(), *arguments[1:])


def _rms(table: Tensor) -> Tensor:
    """Root mean square of a large matrix, some rows at a time."""
    total = sum(rows.detach().double().square().sum() for rows in table.split(_ROWS_AT_ONCE))
    return (torch.as_tensor(total) / table.numel()).sqrt().float()
