"""Running the Thinker: prompts, answers after them, trees of answers, and greedy decoding.

Our own loop over the text tower's layers gives the states of the model's own forward. It exists for two reasons:
states below the first adapted layer can come from disk (`prefix.py`), and nothing is kept on the model between
batches (`generate` leaves its rope offsets there).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint
from transformers import DynamicCache

from omni_msa.prefix import Kept, PrefixStore
from omni_msa.prompt import Prompt
from omni_msa.thinker import Backbone

Answers = list[tuple[int, ...]]


@dataclass
class Opened:
    """Prompts that have been read: keys and values are kept, answers can follow.

    Args:
        cache: keys and values of every layer.
        visible: (B, P) True where a token is a prompt's and not padding.
        next_position: (B,) the rope position of the first answer token.
        last_state: (B, D) normed state of the last prompt token.
    """

    cache: DynamicCache
    visible: Tensor
    next_position: Tensor
    last_state: Tensor


class Forward:
    """The forward passes that readouts are made of.

    Args:
        backbone: frozen; an adapter may be attached to it.
        first_layer: the lowest layer that training can reach; what lies below runs without gradient.
        store: states below `first_layer`, where they are kept.
        seconds_per_grid: time between two video tokens' positions (temporal patch / frame rate).
        checkpointing: trade time for memory in training.
    """

    def __init__(
        self,
        backbone: Backbone,
        first_layer: int = 0,
        store: PrefixStore | None = None,
        seconds_per_grid: float = 1.0,
        checkpointing: bool = False,
    ) -> None:
        self.backbone = backbone
        self.model = backbone.model
        self.text = backbone.model.model.language_model
        self.device = torch.device(backbone.device)
        self.first_layer = first_layer
        self.store = store
        self.seconds_per_grid = seconds_per_grid
        self.checkpointing = checkpointing

    def states(self, prompts: list[Prompt], answers: Answers | None = None) -> Tensor:
        """Return final states from each prompt's last token on, answer tokens included.

        Args:
            prompts: B prompts.
            answers: token ids that follow each prompt, at most A of them; None for none.

        Returns:
            (B, 1 + A, D) after the final norm; beyond a shorter answer's end the values mean nothing.
        """
        answers = answers or [()] * len(prompts)
        hidden, positions, visible = self._lower(prompts, answers, None)
        hidden = self._run(hidden, positions, _causal(visible), self.first_layer, None, None)
        return self.text.norm(hidden[:, hidden.shape[1] - 1 - max(map(len, answers)) :])

    def logits(self, states: Tensor) -> Tensor:
        """Return next-token scores in float32: (..., D) to (..., V)."""
        return self.model.lm_head(states).float()

    @torch.no_grad()
    def tree_states(self, prompts: list[Prompt], tokens: list[int], parents: list[int]) -> Tensor:
        """Return final states of a tree of continuations, the same tree after every prompt.

        Args:
            prompts: B prompts.
            tokens: S token ids, parents before children.
            parents: for each token the index of the one before it, -1 for the prompt's last token.

        Returns:
            (B, 1 + S, D): the prompt's last token, then the tree's.
        """
        opened = self._open(prompts)
        if not tokens:
            return opened.last_state[:, None]
        depth: list[int] = []
        sees = torch.eye(len(tokens), dtype=torch.bool)
        for node, parent in enumerate(parents):
            depth.append(0 if parent < 0 else depth[parent] + 1)
            if parent >= 0:
                sees[node] |= sees[parent]
        ids = torch.tensor(tokens).expand(len(prompts), -1)
        states = self._continue(opened, ids, torch.tensor(depth), sees)
        return torch.cat([opened.last_state[:, None], states], dim=1)

    @torch.no_grad()
    def decode(self, prompts: list[Prompt], num_tokens_max: int, stop: int) -> Answers:
        """Return greedily decoded token ids after each prompt, the stop token left out.

        Args:
            prompts: B prompts.
            num_tokens_max: decoding ends here at the latest.
            stop: id of the end-of-turn token.
        """
        opened = self._open(prompts)
        state = opened.last_state
        chosen: list[Tensor] = []
        running = torch.ones(len(prompts), dtype=torch.bool, device=self.device)
        for step in range(num_tokens_max):
            best = self.logits(state).argmax(-1).masked_fill(~running, stop)
            chosen.append(best)
            running &= best != stop
            if not running.any() or step + 1 == num_tokens_max:
                break
            sees = torch.ones(1, step + 1, dtype=torch.bool)
            state = self._continue(opened, best[:, None], torch.tensor([step]), sees)[:, 0]
        rows = torch.stack(chosen, dim=1).tolist()
        return [tuple(row[: row.index(stop)] if stop in row else row) for row in rows]

    def keep(self, prompts: list[Prompt], answers: Answers | None, keys_values: bool) -> None:
        """Make sure that the store, if there is one, has these prompts' lower states.

        Args:
            prompts: of one split.
            answers: token ids after each prompt, or None.
            keys_values: whether the prompts will be continued (decoded, or scored by `tree_states`).
        """
        if self.store is not None and self.first_layer > 0:
            self.store.keep(self, prompts, answers or [()] * len(prompts), keys_values)

    def _open(self, prompts: list[Prompt]) -> Opened:
        cache = DynamicCache()
        hidden, positions, visible = self._lower(prompts, [()] * len(prompts), cache)
        hidden = self._run(hidden, positions, _causal(visible), self.first_layer, None, cache)
        last = positions.max(0).values.masked_fill(~visible, -1).max(-1).values  # (B,)
        return Opened(cache, visible, last + 1, self.text.norm(hidden[:, -1]))

    def _continue(self, opened: Opened, ids: Tensor, depth: Tensor, sees: Tensor) -> Tensor:
        """Return normed states (B, S, D) of tokens (B, S) at `depth` (S,) behind the prompt.

        `sees` (S, earlier continuation tokens + S) says which continuation tokens each one attends to.
        """
        num, length = ids.shape[0], ids.shape[1]
        positions = (opened.next_position[:, None] + depth.to(self.device)).expand(3, num, length)
        prompt = opened.visible[:, None, :].expand(num, length, -1)
        mask = torch.cat([prompt, sees.to(self.device).expand(num, length, -1)], dim=-1)[:, None]  # (B, 1, S, P + ...)
        hidden = self._run(self.text.embed_tokens(ids.to(self.device)), positions, mask, 0, None, opened.cache)
        return self.text.norm(hidden)

    def lower_states(self, prompts: list[Prompt], answers: Answers, keys_values: bool) -> list[Kept]:
        """Compute what a store keeps of prompts with their answers (see `Kept`), on the CPU."""
        cache = DynamicCache() if keys_values else None
        hidden, grid, visible = self._compute_lower(prompts, answers, cache)
        kept = []
        for place, prompt in enumerate(prompts):
            real = visible[place]
            blocks = None
            if cache is not None:
                sides = [torch.stack([layer.keys[place], layer.values[place]]) for layer in cache.layers]
                blocks = torch.stack(sides)[:, :, :, real]  # (L, 2, H, T, head size)
                blocks = blocks.permute(3, 0, 1, 2, 4)[: len(prompt.token_ids)].contiguous().cpu()
            kept.append(Kept(hidden[place, real].cpu(), grid[:, place, real].cpu(), blocks))
        return kept

    def _lower(
        self, prompts: list[Prompt], answers: Answers, cache: DynamicCache | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return states at the first adapted layer (B, T, D), positions (3, B, T), and which tokens are real (B, T)."""
        kept = self.store.find(prompts, answers, cache is not None) if self.store is not None else None
        if self.store is None or kept is None:
            return self._compute_lower(prompts, answers, cache)
        if cache is not None:
            self.store.fill(cache, kept, self.device)
        return self._arrange(prompts, [entry.states for entry in kept], [entry.positions for entry in kept])

    def _compute_lower(
        self, prompts: list[Prompt], answers: Answers, cache: DynamicCache | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        with torch.set_grad_enabled(self.first_layer == 0 and torch.is_grad_enabled()):
            hidden, grid, visible = self._arrange(prompts, *self.embed(prompts, answers))
            if self.first_layer > 0:
                hidden = self._run(hidden, grid, _causal(visible), 0, self.first_layer, cache)
        return hidden, grid, visible

    def _arrange(
        self, prompts: list[Prompt], rows: list[Tensor], positions: list[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        lengths = [len(prompt.token_ids) for prompt in prompts]
        hidden, visible = _align([row.to(self.device) for row in rows], lengths)
        grid, _ = _align([each.T.to(self.device) for each in positions], lengths)
        return hidden, grid.permute(2, 0, 1), visible  # (B, T, D), (3, B, T), (B, T)

    def _run(
        self, hidden: Tensor, positions: Tensor, mask: Tensor, first: int, last: int | None, cache: DynamicCache | None
    ) -> Tensor:
        """Run layers `first` to `last` on (B, T, D); the mask is True where attention is allowed."""
        rotary = self.text.rotary_emb(hidden, positions)
        bias = torch.zeros(mask.shape, dtype=hidden.dtype, device=hidden.device)
        bias = bias.masked_fill(~mask, torch.finfo(hidden.dtype).min)
        for layer in self.text.layers[first:last]:
            if self.checkpointing and torch.is_grad_enabled() and cache is None:
                hidden = checkpoint(layer, hidden, attention_mask=bias, position_embeddings=rotary, use_reentrant=False)
            else:
                hidden = layer(hidden, attention_mask=bias, position_embeddings=rotary, past_key_values=cache)
        return hidden

    def embed(self, prompts: list[Prompt], answers: Answers) -> tuple[list[Tensor], list[Tensor]]:
        """Return, for each prompt with its answer, embeddings (T, D) with media in place, and positions (3, T)."""
        ids = [torch.tensor(prompt.token_ids + answer) for prompt, answer in zip(prompts, answers, strict=True)]
        flat_ids = torch.cat(ids).to(self.device)
        flat = self.text.embed_tokens(flat_ids)
        config = self.model.config
        pixels = [prompt.media.pixel_values for prompt in prompts if prompt.media.pixel_values is not None]
        if pixels:
            grids = torch.stack([torch.as_tensor(p.media.grid_thw) for p in prompts if p.media.grid_thw is not None])
            values = torch.cat([torch.as_tensor(each) for each in pixels]).to(self.device)
            features = self.model.model.get_video_features(values, grids.to(self.device)).pooler_output
            flat = _put(flat, flat_ids == config.video_token_id, torch.cat(list(features)))
        mels = [torch.as_tensor(prompt.media.mel) for prompt in prompts if prompt.media.mel is not None]
        if mels:
            lengths = torch.tensor([mel.shape[1] for mel in mels])
            padded = (
                pad_sequence([mel.T for mel in mels], batch_first=True).transpose(1, 2).to(self.device)
            )  # (B, M, F)
            heard = (torch.arange(padded.shape[2]) < lengths[:, None]).to(self.device)
            padded = padded.to(self.device, self.model.dtype)
            features = self.model.model.get_audio_features(
                padded, feature_attention_mask=heard.long()
            ).last_hidden_state
            flat = _put(flat, flat_ids == config.audio_token_id, features)
        positions = [self._positions(each, prompt) for each, prompt in zip(ids, prompts, strict=True)]
        return list(flat.split([len(each) for each in ids])), positions

    def _positions(self, ids: Tensor, prompt: Prompt) -> Tensor:
        grid, mel = prompt.media.grid_thw, prompt.media.mel
        positions, _ = self.model.model.get_rope_index(
            input_ids=ids[None],
            video_grid_thw=None if grid is None else torch.as_tensor(grid)[None],
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            audio_seqlens=None if mel is None else torch.tensor([mel.shape[1]]),
            second_per_grids=torch.tensor([self.seconds_per_grid]),
        )
        return positions[:, 0]


def _put(flat: Tensor, places: Tensor, features: Tensor) -> Tensor:
    if int(places.sum()) != len(features):
        raise RuntimeError(f"{int(places.sum())} media tokens in the prompts, but {len(features)} tower states")
    return flat.masked_scatter(places[:, None], features.to(flat.dtype))


def _align(rows: list[Tensor], lengths: list[int]) -> tuple[Tensor, Tensor]:
    """Pad (T_i, ...) rows so that all prompts, of `lengths` tokens, end in one column: (B, T, ...) and (B, T)."""
    longest = max(lengths)
    tail = max(len(row) - length for row, length in zip(rows, lengths, strict=True))
    padded = rows[0].new_zeros((len(rows), longest + tail, *rows[0].shape[1:]))
    visible = torch.zeros(padded.shape[:2], dtype=torch.bool, device=padded.device)
    for place, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        start = longest - length
        padded[place, start : start + len(row)] = row
        visible[place, start : start + len(row)] = True
    return padded, visible


def _causal(visible: Tensor) -> Tensor:
    """Return (B, 1, T, T): each token sees real tokens up to itself; padding sees itself, so that no row is empty."""
    length = visible.shape[1]
    earlier = torch.ones(length, length, dtype=torch.bool, device=visible.device).tril()
    itself = torch.eye(length, dtype=torch.bool, device=visible.device)
    return ((visible[:, None, :] & earlier) | itself)[:, None]
