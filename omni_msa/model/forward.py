"""Running the Thinker: prompts, answers after them, trees of answers, and the states after every layer.

Our own loop over the text tower's layers gives the states of the model's own forward. It exists for two reasons:
states below the first adapted layer can come from disk (`prefix_cache.py`), and nothing is kept on the model between
batches (`generate` leaves its rope offsets there).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint
from transformers import DynamicCache

from omni_msa.data.inputs.clip_inputs import ClipInputs
from omni_msa.data.inputs.loader import Loader
from omni_msa.model.kv_cache import PrefilledPrompts, tree_shape
from omni_msa.model.memory_saving import activation_checkpointing, output_layer
from omni_msa.model.padding import align, causal
from omni_msa.model.prefix_cache import Answers, Batch, CachedPrefix, PrefixStore
from omni_msa.model.prompt import Prompt
from omni_msa.model.thinker import Backbone


class Forward:
    """The forward passes that readouts are made of.

    Args:
        backbone: frozen; an adapter may be attached to it.
        first_layer: the lowest layer that training can reach; what lies below runs without gradient.
        store: states below `first_layer`, where they are kept.
        seconds_per_grid: time between two video tokens' positions (temporal patch / frame rate).
        checkpointing: trade time for memory in training.
        loader: has the arrays of prompts that come without them.
    """

    def __init__(
        self,
        backbone: Backbone,
        first_layer: int = 0,
        store: PrefixStore | None = None,
        seconds_per_grid: float = 1.0,
        checkpointing: bool = False,
        loader: Loader | None = None,
    ) -> None:
        self.backbone = backbone
        self.model = backbone.model
        self.text = backbone.model.model.language_model
        self.device = torch.device(backbone.device)
        self.first_layer = first_layer
        self.store = store
        self.seconds_per_grid = seconds_per_grid
        self.checkpointing = checkpointing
        self.loader = loader
        self.on_states: Callable[[list[Prompt], Tensor], None] | None = None
        """Is given the prompts and the (B, D) normed states of their last tokens whenever these are read to predict."""

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
        hidden = self._run(hidden, positions, causal(visible), self.first_layer, None, None)
        states = self.text.norm(hidden[:, hidden.shape[1] - 1 - max(map(len, answers)) :])
        return self._collected(prompts, states, 0)

    def logits(self, states: Tensor) -> Tensor:
        """Return next-token scores in float32: (..., D) to (..., V)."""
        return output_layer(self.backbone)(states).float()

    @torch.no_grad()
    def prefill(self, prompts: list[Prompt]) -> PrefilledPrompts:
        """Read B prompts and keep what answers need of them."""
        cache = DynamicCache()
        hidden, positions, visible = self._lower(prompts, [()] * len(prompts), cache)
        hidden = self._run(hidden, positions, causal(visible), self.first_layer, None, cache)
        last = positions.max(0).values.masked_fill(~visible, -1).max(-1).values  # (B,)
        states = self._collected(prompts, self.text.norm(hidden[:, -1:]), 0)
        return PrefilledPrompts(cache, visible, last + 1, states[:, 0])

    @torch.no_grad()
    def answer_states(self, opened: PrefilledPrompts, answers: Answers) -> Tensor:
        """Return what `states` does for these prompts and answers, (B, 1 + A, D), without reading the prompts again."""
        ids = pad_sequence([torch.tensor(answer) for answer in answers], batch_first=True)  # (B, A)
        length = ids.shape[1]
        states = self.extend(opened, ids, torch.arange(length), torch.ones(length, length, dtype=torch.bool).tril())
        opened.rewind()
        return torch.cat([opened.last_state[:, None], states], dim=1)

    @torch.no_grad()
    def tree_states(self, opened: PrefilledPrompts, tokens: list[int], parents: list[int]) -> Tensor:
        """Return final states of a tree of continuations, the same tree after every prompt.

        Args:
            opened: B prompts that have been read; they are as before afterwards.
            tokens: S token ids, parents before children.
            parents: for each token the index of the one before it, -1 for the prompt's last token.

        Returns:
            (B, 1 + S, D): the prompt's last token, then the tree's.
        """
        if not tokens:
            return opened.last_state[:, None]
        ids = torch.tensor(tokens).expand(len(opened.visible), -1)
        states = self.extend(opened, ids, *tree_shape(parents))
        opened.rewind()
        return torch.cat([opened.last_state[:, None], states], dim=1)

    @torch.no_grad()
    def each_layer(self, prompts: list[Prompt]) -> Iterator[Tensor]:
        """Yield the prompts' states, (B, T, D), padded on the left: as they enter, then as they leave each text layer.

        The last ones are after the final norm, as those of `states`. Nothing kept is used, so every layer runs.
        """
        hidden, grid, visible = self._arrange(prompts, *self.embed(prompts, [()] * len(prompts)))
        mask, num_layers = causal(visible), len(self.text.layers)
        yield hidden
        for layer in range(num_layers):
            hidden = self._run(hidden, grid, mask, layer, layer + 1, None)
            is_last = layer + 1 == num_layers
            yield self._collected(prompts, self.text.norm(hidden), -1) if is_last else hidden

    def _collected(self, prompts: list[Prompt], states: Tensor, place: int) -> Tensor:
        """Hand on, of final states (B, T, D), those at the place of the prompts' last tokens; returns all of them."""
        if self.on_states is not None:
            self.on_states(prompts, states[:, place])
        return states

    def prefetch(self, batches: Iterable[list[Prompt]], past_store: bool = False) -> None:
        """Say which batches of prompts come next, in order: their arrays are read ahead, if they are needed.

        Args:
            batches: asked for only as far ahead as arrays are read.
            past_store: they are run although the store may have their states: by `each_layer`, or to build it.
        """
        if self.loader is not None and (past_store or self.store is None):
            self.loader.prefetch([prompt.clip_id for prompt in batch] for batch in batches)

    def fill_cache(self, prompts: list[Prompt], answers: Answers | None, keys_values: bool) -> None:
        """Make sure that the store, if there is one, has these prompts' lower states.

        Args:
            prompts: of one split.
            answers: token ids after each prompt, or None.
            keys_values: whether the prompts will be continued (decoded, or scored by `tree_states`).
        """
        if self.store is not None and self.first_layer > 0:
            self.store.compute_missing(self._lower_states, prompts, answers or [()] * len(prompts), keys_values)

    def extend(self, opened: PrefilledPrompts, ids: Tensor, depth: Tensor, sees: Tensor) -> Tensor:
        """Let tokens follow opened prompts and return their final states; `opened` keeps them until it is rewound.

        Args:
            opened: B prompts.
            ids: (B, S) token ids.
            depth: (S,) how far behind the prompt each stands, from 0.
            sees: (S, earlier tokens behind the prompt + S) which of these each one attends to.

        Returns:
            (B, S, D) after the final norm.
        """
        num, length = ids.shape[0], ids.shape[1]
        positions = (opened.next_position[:, None] + depth.to(self.device)).expand(3, num, length)
        prompt = opened.visible[:, None, :].expand(num, length, -1)
        mask = torch.cat([prompt, sees.to(self.device).expand(num, length, -1)], dim=-1)[:, None]  # (B, 1, S, P + ...)
        hidden = self._run(self.text.embed_tokens(ids.to(self.device)), positions, mask, 0, None, opened.cache)
        return self.text.norm(hidden)

    def _lower_states(self, batches: Sequence[Batch], keys_values: bool) -> Iterator[list[CachedPrefix]]:
        """Yield what a store keeps of each batch, read ahead; see `PrefixStore.compute_missing`."""
        self.prefetch((prompts for prompts, _ in batches), past_store=True)
        for prompts, answers in batches:
            yield self.lower_states(prompts, answers, keys_values)

    def lower_states(self, prompts: list[Prompt], answers: Answers, keys_values: bool) -> list[CachedPrefix]:
        """Compute what a store keeps of prompts with their answers (see `CachedPrefix`), on the CPU."""
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
            kept.append(CachedPrefix(hidden[place, real].cpu(), grid[:, place, real].cpu(), blocks))
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
        needs_grad = self.first_layer == 0 and torch.is_grad_enabled()
        with (
            torch.set_grad_enabled(needs_grad),
            activation_checkpointing(self.model, self.checkpointing and needs_grad),
        ):
            hidden, grid, visible = self._arrange(prompts, *self.embed(prompts, answers))
            if self.first_layer > 0:
                hidden = self._run(hidden, grid, causal(visible), 0, self.first_layer, cache)
        return hidden, grid, visible

    def _arrange(
        self, prompts: list[Prompt], rows: list[Tensor], positions: list[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        lengths = [len(prompt.token_ids) for prompt in prompts]
        hidden, visible = align([row.to(self.device) for row in rows], lengths)
        grid, _ = align([each.T.to(self.device) for each in positions], lengths)
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
        config, media = self.model.config, self._media(prompts)
        pixels = [each.pixel_values for each in media if each.pixel_values is not None]
        if pixels:
            grids = torch.stack([torch.as_tensor(each.grid_thw) for each in media if each.grid_thw is not None])
            values = torch.cat([torch.as_tensor(each) for each in pixels]).to(self.device)
            features = self.model.model.get_video_features(values, grids.to(self.device)).pooler_output
            flat = _put(flat, flat_ids == config.video_token_id, torch.cat(list(features)))
        mels = [torch.as_tensor(each.mel) for each in media if each.mel is not None]
        if mels:
            lengths = torch.tensor([mel.shape[1] for mel in mels])
            padded = pad_sequence([mel.T for mel in mels], batch_first=True).transpose(1, 2)  # (B, M, F)
            heard = (torch.arange(padded.shape[2]) < lengths[:, None]).to(self.device)
            padded = padded.to(self.device, self.model.dtype)
            sound = self.model.model.get_audio_features(padded, feature_attention_mask=heard.long())
            flat = _put(flat, flat_ids == config.audio_token_id, sound.last_hidden_state)
        positions = [self._positions(*pair) for pair in zip(ids, media, strict=True)]
        return list(flat.split([len(each) for each in ids])), positions

    def _media(self, prompts: list[Prompt]) -> list[ClipInputs]:
        at_hand = [prompt.media for prompt in prompts if isinstance(prompt.media, ClipInputs)]
        if len(at_hand) == len(prompts):
            return at_hand
        assert self.loader is not None
        return self.loader.take([prompt.clip_id for prompt in prompts])

    def _positions(self, ids: Tensor, media: ClipInputs) -> Tensor:
        grid, mel = media.grid_thw, media.mel
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
