"""Readouts that go through the answer's text: trained on its tokens, read greedily or as an expected value."""

import torch
from torch import Tensor
from torch.nn import functional

from omni_msa.model.decoding import greedy
from omni_msa.model.forward import Forward
from omni_msa.model.kv_cache import PrefilledPrompts
from omni_msa.model.prefix_cache import Answers
from omni_msa.model.prompt import Prompt
from omni_msa.readouts._answers import (
    Sign,
    answer_ids,
    answer_tree,
    class_tree,
    end_of_turn,
    parse_class,
    parse_score,
    write_score,
)
from omni_msa.readouts._module import Readout
from omni_msa.readouts._task import Prediction, Task


class Generation(Readout):
    """Writes the score, or the name of the class, as text.

    Args:
        task: with a tokenizer.
        decimals: digits after the point of a score.
        num_tokens_max: of a decoded answer.
        sign: always written, or only before negative scores.
        constrained: decoding can write nothing but numbers in the label range or names of classes, whole ones,
            whatever `num_tokens_max`.
    """

    decodes = True

    def __init__(
        self,
        task: Task,
        decimals: int,
        num_tokens_max: int = 8,
        sign: Sign = "always",
        constrained: bool = False,
    ) -> None:
        super().__init__()
        assert task.tokenizer is not None
        self.task = task
        self.tokenizer = task.tokenizer
        self.decimals = decimals
        self.sign: Sign = sign
        self.stop = end_of_turn(self.tokenizer)
        tree = None
        if constrained and task.classes:
            tree = class_tree(self.tokenizer, task.classes)
        elif constrained:
            tree = answer_tree(self.tokenizer, task.label_range, decimals, sign)
        self.num_tokens_max = num_tokens_max if tree is None else tree.num_tokens_max
        self.followers = None if tree is None else tree.followers()

    def answer(self, label: float) -> tuple[int, ...]:
        """Return the label's answer with its end of turn."""
        classes = self.task.classes
        text = classes[int(label)] if classes else write_score(label, self.decimals, self.sign)
        return (*answer_ids(self.tokenizer, text), self.stop)

    def losses(self, forward: Forward, prompts: list[Prompt], labels: Tensor) -> Tensor:
        """Return each clip's mean cross-entropy over its answer tokens, (B,)."""
        answers = [self.answer(label) for label in labels.tolist()]
        return _answer_losses(forward, forward.states(prompts, answers), answers)

    def predict(self, forward: Forward, prompts: list[Prompt]) -> list[Prediction]:
        """Decode greedily and read the first number, or the first name of a class."""
        return self.read(forward, forward.prefill(prompts))

    @torch.no_grad()
    def predict_with_losses(
        self, forward: Forward, prompts: list[Prompt], labels: Tensor
    ) -> tuple[list[Prediction], Tensor]:
        """Return what `predict` and `losses` do, reading each prompt once."""
        opened = forward.prefill(prompts)
        answers = [self.answer(label) for label in labels.tolist()]
        losses = _answer_losses(forward, forward.answer_states(opened, answers), answers)
        return self.read(forward, opened), losses

    def read(self, forward: Forward, opened: PrefilledPrompts) -> list[Prediction]:
        """Return the predictions of prompts that have been read."""
        decoded = greedy(forward, opened, self.num_tokens_max, self.stop, self.followers)
        texts = [str(self.tokenizer.decode(ids)) for ids in decoded]
        if self.task.classes:
            return [parse_class(text, self.task.classes) for text in texts]
        return [parse_score(text, self.task.label_range) for text in texts]


def _answer_losses(forward: Forward, states: Tensor, answers: Answers) -> Tensor:
    """Return the mean cross-entropy over each answer's tokens, (B,), of states (B, 1 + A, D).

    No prompt token counts, and the large product with the vocabulary is formed on answer positions only.
    """
    targets = torch.full((len(answers), max(map(len, answers))), -100)
    for place, answer in enumerate(answers):
        targets[place, : len(answer)] = torch.tensor(answer)
    targets = targets.to(forward.device)
    logits = forward.logits(states[:, :-1])  # (B, A, V): each state predicts the next token
    losses = functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none", ignore_index=-100)
    return losses.sum(-1) / (targets != -100).sum(-1)


class ExpectedValue(Generation):
    """Reads the mean of the answer distribution over a grid, each answer weighted by its probability.

    Args:
        task: with a tokenizer.
        decimals: digits after the point, of the grid.
        sign: of the answers of the grid.
    """

    def __init__(self, task: Task, decimals: int, sign: Sign = "always") -> None:
        super().__init__(task, decimals, sign=sign)
        self.tree = answer_tree(self.tokenizer, task.label_range, decimals, sign)

    @torch.no_grad()
    def read(self, forward: Forward, opened: PrefilledPrompts) -> list[Prediction]:
        """Return the expected scores; `text` is the most probable answer of the grid."""
        tree = self.tree
        scores = functional.log_softmax(forward.logits(forward.tree_states(opened, tree.tokens, tree.parents)), dim=-1)
        columns = []
        for path in tree.paths:
            nodes, tokens = (list(part) for part in zip(*path, strict=True))
            columns.append(scores[:, nodes, tokens].sum(-1))
        weights = torch.stack(columns, dim=1).double().softmax(-1)  # (B, G), within the grid
        values = torch.tensor(tree.values, dtype=torch.float64, device=weights.device)
        best = weights.argmax(-1).tolist()
        expected = (weights * values).sum(-1).tolist()
        return [
            Prediction(score, write_score(tree.values[place], self.decimals, self.sign))
            for score, place in zip(expected, best, strict=True)
        ]
