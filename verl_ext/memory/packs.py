"""The largest micro-batch of each pass: how many tokens, in which episodes, and how many of them sampled."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from omegaconf import DictConfig
from tensordict import TensorDict
from verl.utils import tensordict_utils as tu

from verl_ext.settings import SearchSettings


@dataclass(frozen=True)
class EpisodeSizes:
    """Tokens of the longest episode."""

    prompt: int
    response: int
    """Sampled tokens and observations."""
    sampled: int
    """Of the response, when every turn takes all the tokens it may."""

    @property
    def whole(self) -> int:
        return self.prompt + self.response


@dataclass(frozen=True)
class Pack:
    """Tokens of the largest micro-batch, and how many such micro-batches make one gradient."""

    num_tokens: int
    num_micro_batches: int


def longest_episode(config: DictConfig, search: SearchSettings) -> EpisodeSizes:
    """The longest episode that the configuration allows."""
    prompt, response = int(config.data.max_prompt_length), int(config.data.max_response_length)
    context = config.actor_rollout_ref.rollout.max_model_len or prompt + response
    response = min(response, context - prompt)
    num_turns = search.max_turns if search.enable and search.enable_during_training else 1
    return EpisodeSizes(prompt, response, min(response, num_turns * search.max_turn_tokens))


def largest_pack(
    episode: EpisodeSizes, num_episodes: int, max_tokens: int | None, micro_batch_size: int | None
) -> Pack:
    """The largest micro-batch among ``num_episodes`` episodes of one rank.

    verl's ``rearrange_micro_batches`` (utils/seqlen_balancing.py:348) fills a pack up to ``max_tokens`` and
    refuses one that is shorter than an episode; without dynamic batches (``max_tokens`` None) it takes
    ``micro_batch_size`` episodes at a time (workers/engine/utils.py:124).
    """
    everything = num_episodes * episode.whole
    if max_tokens is None:
        num_tokens = min(everything, (micro_batch_size or 1) * episode.whole)
    else:
        num_tokens = min(everything, max(max_tokens, episode.whole))
    # Two micro-batches show what is kept from one to the next; more would show the same again.
    return Pack(num_tokens, min(2, -(-everything // num_tokens)))


def episodes_of(pack: Pack, episode: EpisodeSizes) -> list[EpisodeSizes]:
    """Episodes of about equal length that fill one pack, none longer than the longest.

    There are always two: with one alone the packed attention mask would be left out
    (transformers/masking_utils.py:757), and two shorter episodes would bring it back.
    """
    num_episodes = max(2, -(-pack.num_tokens // episode.whole))
    shorter, num_longer = divmod(pack.num_tokens, num_episodes)
    return [_cut(episode, shorter + (place < num_longer)) for place in range(num_episodes)]


def _cut(episode: EpisodeSizes, length: int) -> EpisodeSizes:
    """An episode of ``length`` tokens, prompt and sampled tokens in the longest one's proportion."""
    prompt = max(1, length * episode.prompt // episode.whole)
    sampled = -(-length * episode.sampled // episode.whole)
    return EpisodeSizes(prompt, length - prompt, min(sampled, length - prompt))


def micro_batches(pack: Pack, episode: EpisodeSizes, **settings: object) -> TensorDict:
    """A batch that verl's engine cuts into ``pack.num_micro_batches`` packs of the full size.

    Args:
        settings: what the worker tells the engine beside it (workers/engine_workers.py:352).

    Returns:
        Jagged integers [num_episodes, length] and floats [num_episodes, response]; their values mean nothing.
    """
    in_one_pack = episodes_of(pack, episode)
    episodes = in_one_pack * pack.num_micro_batches
    rows: dict[str, torch.Tensor] = {
        "input_ids": _jagged([torch.zeros(e.whole, dtype=torch.int64) for e in episodes]),
        "position_ids": _jagged([torch.arange(e.whole) for e in episodes]),
        "prompts": _jagged([torch.zeros(e.prompt, dtype=torch.int64) for e in episodes]),
        "responses": _jagged([torch.zeros(e.response, dtype=torch.int64) for e in episodes]),
        "response_mask": _jagged([(torch.arange(e.response) < e.sampled).long() for e in episodes]),
    }
    rows["loss_mask"] = rows["response_mask"]
    for name in ("advantages", "returns", "values", "old_log_probs", "rollout_log_probs", "ref_log_prob"):
        # Made from integers, so that the tracker leaves them real: a fake jagged tensor cannot be padded.
        rows[name] = _jagged([torch.zeros(e.response, dtype=torch.int64).float() for e in episodes])
    batch = TensorDict(rows, batch_size=len(episodes))
    # By number of episodes: dynamic batches are balanced anew, and would come out below the full size.
    sizes = {"use_dynamic_bsz": False, "micro_batch_size_per_gpu": len(in_one_pack)}
    tu.assign_non_tensor(batch, global_batch_size=len(episodes), **sizes, **settings)
    return batch


def _jagged(rows: list[torch.Tensor]) -> torch.Tensor:
    return torch.nested.as_nested_tensor(rows, layout=torch.jagged)
