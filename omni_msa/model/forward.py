"""Forward passes of the Thinker: hidden states of prompts, of answers after them, and of every layer.

Our own loop over the layers of the text tower gives the same hidden states as the model's forward. It exists for two
reasons: hidden states below the first adapted layer can be read from disk (`prefix_cache.py`), and no state is left on
the model between batches (`generate` leaves its rope offsets there).
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
    """The forward passes that readouts use.

    Args:
        backbone: frozen; an adapter may be attached to it.
        first_layer: lowest layer whose input depends on training; the layers below run without gradient.
        store: cache on disk of the hidden states that enter `first_layer`; None: no cache.
        seconds_per_grid: time between consecutive video tokens (temporal patch / frame rate), seconds.
        checkpointing: use activation checkpointing in training.
        loader: loads the media arrays of prompts that have only token counts.
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
        """Called in each pass with the prompts and their last tokens' hidden states (B, D), after the final norm."""

    def states(self, prompts: list[Prompt], answers: Answers | None = None) -> Tensor:
        """Return the last layer's hidden states of each prompt's last token and of the answer tokens.

        Args:
            prompts: B prompts.
            answers: token ids that follow each prompt, at most A of them; None for none.

        Returns:
            (B, 1 + A, D) after the final norm; values beyond the end of a shorter answer are undefined.
        """
        answers = answers or [()] * len(prompts)
        hidden, positions, visible = self._lower(prompts, answers, None)
        hidden = self._run(hidden, positions, causal(visible), self.first_layer, None, None)
        states = self.text.norm(hidden[:, hidden.shape[1] - 1 - max(map(len, answers)) :])
        return self._collected(prompts, states, 0)

    def logits(self, states: Tensor) -> Tensor:
        """Return next-token logits in float32: (..., D) to (..., V)."""
        return output_layer(self.backbone)(states).float()

    @torch.no_grad()
    def prefill(self, prompts: list[Prompt]) -> PrefilledPrompts:
        """Run B prompts once and return their keys and values, after which answers can be computed."""
        cache = DynamicCache()
        hidden, positions, visible = self._lower(prompts, [()] * len(prompts), cache)
        hidden = self._run(hidden, positions, causal(visible), self.first_layer, None, cache)
        last = positions.max(0).values.masked_fill(~visible, -1).max(-1).values  # (B,)
        states = self._collected(prompts, self.text.norm(hidden[:, -1:]), 0)
        return PrefilledPrompts(cache, visible, last + 1, states[:, 0])

    @torch.no_grad()
    def answer_states(self, prefilled: PrefilledPrompts, answers: Answers) -> Tensor:
        """Return the same as `states`, (B, 1 + A, D), without running the prefilled prompts again."""
        ids = pad_sequence([torch.tensor(answer) for answer in answers], batch_first=True)  # (B, A)
        length = ids.shape[1]
        states = self.extend(prefilled, ids, torch.arange(length), torch.ones(length, length, dtype=torch.bool).tril())
        prefilled.rewind()
        return torch.cat([prefilled.last_state[:, None], states], dim=1)

    @torch.no_grad()
    def tree_states(self, prefilled: PrefilledPrompts, tokens: list[int], parents: list[int]) -> Tensor:
        """Return the last layer's hidden states of a tree of continuations, the same tree after every prompt.

        Args:
            prefilled: B prompts that have been prefilled; unchanged afterwards.
            tokens: S token ids, parents before children.
            parents: for each token the index of its parent, -1 for the last token of the prompt.

        Returns:
            (B, 1 + S, D) after the final norm: the last token of the prompt, then the tokens of the tree.
        """
        if not tokens:
            return prefilled.last_state[:, None]
        ids = torch.tensor(tokens).expand(len(prefilled.visible), -1)
        states = self.extend(prefilled, ids, *tree_shape(parents))
        prefilled.rewind()
        return torch.cat([prefilled.last_state[:, None], states], dim=1)

    @torch.no_grad()
    def each_layer(self, prompts: list[Prompt]) -> Iterator[Tensor]:
        """Yield hidden states (B, T, D), padded on the left: the input of the first text layer, then each output.

        Those of the last layer are after the final norm, as in `states`. Every layer runs: the cache is not used.
        """
        hidden, grid, visible = self._arrange(prompts, *self.embed(prompts, [()] * len(prompts)))
        mask, num_layers = causal(visible), len(self.text.layers)
        yield hidden
        for layer in range(num_layers):
            hidden = self._run(hidden, grid, mask, layer, layer + 1, None)
            is_last = layer + 1 == num_layers
            yield self._collected(prompts, self.text.norm(hidden), -1) if is_last else hidden

    def _collected(self, prompts: list[Prompt], states: Tensor, index: int) -> Tensor:
        """Pass the hidden states at the last prompt token's index to `on_states`; return all of them, (B, T, D)."""
        if self.on_states is not None:
            self.on_states(prompts, states[:, index])
        return states

    def prefetch(self, batches: Iterable[list[Prompt]], past_store: bool = False) -> None:
        """Announce the next batches of prompts in order, so that their media arrays are read in advance if needed.

        Args:
            batches: consumed only as far as arrays are prefetched.
            past_store: whether the batches will run without the prefix cache: by `each_layer`, or to fill the cache.
        """
        if self.loader is not None and (past_store or self.store is None):
            self.loader.prefetch([prompt.clip_id for prompt in batch] for batch in batches)

    def fill_cache(self, prompts: list[Prompt], answers: Answers | None, keys_values: bool) -> None:
        """Compute the hidden states of these prompts that the prefix cache lacks; without a cache do nothing.

        Args:
            prompts: of one split.
            answers: token ids after each prompt, or None.
            keys_values: whether the prompts will be continued (decoded, or scored by `tree_states`).
        """
        if self.store is not None and self.first_layer > 0:
            self.store.compute_missing(self._lower_states, prompts, answers or [()] * len(prompts), keys_values)

    def extend(self, prefilled: PrefilledPrompts, ids: Tensor, depth: Tensor, attends: Tensor) -> Tensor:
        """Append tokens to prefilled prompts and return their hidden states; the cache keeps them until `rewind`.

        Args:
            prefilled: B prompts.
            ids: (B, S) token ids.
            depth: (S,) distance of each token from the end of the prompt, from 0.
            attends: (S, tokens appended before + S) which of the appended tokens each new token attends to.

        Returns:
            (B, S, D) after the final norm.
        """
        num, length = ids.shape[0], ids.shape[1]
        positions = (prefilled.next_position[:, None] + depth.to(self.device)).expand(3, num, length)
        prompt = prefilled.visible[:, None, :].expand(num, length, -1)
        # (B, 1, S, P + ...)
        mask = torch.cat([prompt, attends.to(self.device).expand(num, length, -1)], dim=-1)[:, None]
        hidden = self._run(self.text.embed_tokens(ids.to(self.device)), positions, mask, 0, None, prefilled.cache)
        return self.text.norm(hidden)

    def _lower_states(self, batches: Sequence[Batch], keys_values: bool) -> Iterator[list[CachedPrefix]]:
        """Yield the cache entries of each batch, with prefetching; see `PrefixStore.compute_missing`."""
        self.prefetch((prompts for prompts, _ in batches), past_store=True)
        for prompts, answers in batches:
            yield self.lower_states(prompts, answers, keys_values)

    def lower_states(self, prompts: list[Prompt], answers: Answers, keys_values: bool) -> list[CachedPrefix]:
        """Compute the cache entries of prompts with their answers (see `CachedPrefix`), on the CPU."""
        cache = DynamicCache() if keys_values else None
        hidden, grid, visible = self._compute_lower(prompts, answers, cache)
        entries = []
        for row, prompt in enumerate(prompts):
            real = visible[row]
            blocks = None
            if cache is not None:
                sides = [torch.stack([layer.keys[row], layer.values[row]]) for layer in cache.layers]
                blocks = torch.stack(sides)[:, :, :, real]  # (L, 2, H, T, head size)
                blocks = blocks.permute(3, 0, 1, 2, 4)[: len(prompt.token_ids)].contiguous().cpu()
            entries.append(CachedPrefix(hidden[row, real].cpu(), grid[:, row, real].cpu(), blocks))
        return entries

    def _lower(
        self, prompts: list[Prompt], answers: Answers, cache: DynamicCache | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return input of the first adapted layer (B, T, D), positions (3, B, T) and the mask of real tokens (B, T)."""
        entries = self.store.find(prompts, answers, cache is not None) if self.store is not None else None
        if self.store is None or entries is None:
            return self._compute_lower(prompts, answers, cache)
        if cache is not None:
            self.store.fill(cache, entries, self.device)
        return self._arrange(prompts, [entry.states for entry in entries], [entry.positions for entry in entries])

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
        grid, _ = align([grid_positions.T.to(self.device) for grid_positions in positions], lengths)
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
        """Return embeddings (T, D), media features inserted, and positions (3, T) of each prompt with its answer."""
        ids = [torch.tensor(prompt.token_ids + answer) for prompt, answer in zip(prompts, answers, strict=True)]
        flat_ids = torch.cat(ids).to(self.device)
        flat = self.text.embed_tokens(flat_ids)
        config, media = self.model.config, self._media(prompts)
        pixels = [inputs.pixel_values for inputs in media if inputs.pixel_values is not None]
        if pixels:
            grids = torch.stack([torch.as_tensor(inputs.grid_thw) for inputs in media if inputs.grid_thw is not None])
            values = torch.cat([torch.as_tensor(values) for values in pixels]).to(self.device)
            features = self.model.model.get_video_features(values, grids.to(self.device)).pooler_output
            flat = _insert(flat, flat_ids == config.video_token_id, torch.cat(list(features)))
        mels = [torch.as_tensor(inputs.mel) for inputs in media if inputs.mel is not None]
        if mels:
            lengths = torch.tensor([mel.shape[1] for mel in mels])
            padded = pad_sequence([mel.T for mel in mels], batch_first=True).transpose(1, 2)  # (B, M, F)
            is_real = (torch.arange(padded.shape[2]) < lengths[:, None]).to(self.device)
            padded = padded.to(self.device, self.model.dtype)
            audio = self.model.model.get_audio_features(padded, feature_attention_mask=is_real.long())
            flat = _insert(flat, flat_ids == config.audio_token_id, audio.last_hidden_state)
        positions = [self._positions(*pair) for pair in zip(ids, media, strict=True)]
        return list(flat.split(list(map(len, ids)))), positions

    def _media(self, prompts: list[Prompt]) -> list[ClipInputs]:
        loaded = [prompt.media for prompt in prompts if isinstance(prompt.media, ClipInputs)]
        if len(loaded) == len(prompts):
            return loaded
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


def _insert(flat: Tensor, is_media: Tensor, features: Tensor) -> Tensor:
    if int(is_media.sum()) != len(features):
        raise RuntimeError(f"{int(is_media.sum())} media tokens in the prompts, but {len(features)} tower outputs")
    return flat.masked_scatter(is_media[:, None], features.to(flat.dtype))
