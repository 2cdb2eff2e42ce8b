"""Readouts that generate the answer as text: trained on its tokens, decoded greedily or read as an expected value."""

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
    """Generates the score, or the name of the class, as text.

    Args:
        task: with a tokenizer.
        decimals: digits after the point of a score.
        num_tokens_max: of a decoded answer.
        sign: always written, or only for negative scores.
        constrained: decoding can only produce complete numbers in the label range or complete class names;
            `num_tokens_max` is ignored.
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
        """Return the token ids of a label's answer, with the end-of-turn token."""
        classes = self.task.classes
        text = classes[int(label)] if classes else write_score(label, self.decimals, self.sign)
        return (*answer_ids(self.tokenizer, text), self.stop)

    def losses(self, forward: Forward, prompts: list[Prompt], labels: Tensor) -> Tensor:
        """Return each clip's mean cross-entropy over its answer tokens, (B,)."""
        answers = [self.answer(label) for label in labels.tolist()]
        return _answer_losses(forward, forward.states(prompts, answers), answers)

    def predict(self, forward: Forward, prompts: list[Prompt]) -> list[Prediction]:
        """Decode greedily and parse the first number, or the first class name."""
        return self.read(forward, forward.prefill(prompts))

    @torch.no_grad()
    def predict_with_losses(
        self, forward: Forward, prompts: list[Prompt], labels: Tensor
    ) -> tuple[list[Prediction], Tensor]:
        """Return the results of `predict` and `losses`, running each prompt once."""
        prefilled = forward.prefill(prompts)
        answers = [self.answer(label) for label in labels.tolist()]
        losses = _answer_losses(forward, forward.answer_states(prefilled, answers), answers)
        return self.read(forward, prefilled), losses

    def read(self, forward: Forward, prefilled: PrefilledPrompts) -> list[Prediction]:
        """Return the predictions of prompts that have been prefilled."""
        decoded = greedy(forward, prefilled, self.num_tokens_max, self.stop, self.followers)
        texts = [str(self.tokenizer.decode(ids)) for ids in decoded]
        if self.task.classes:
            return [parse_class(text, self.task.classes) for text in texts]
        return [parse_score(text, self.task.label_range) for text in texts]


def _answer_losses(forward: Forward, states: Tensor, answers: Answers) -> Tensor:
    """Return the mean cross-entropy over the tokens of each answer, (B,), from hidden states (B, 1 + A, D).

    Prompt tokens do not count; the large product with the vocabulary is computed for answer tokens only.
    """
    targets = torch.full((len(answers), max(map(len, answers))), -100)
    for row, answer in enumerate(answers):
        targets[row, : len(answer)] = torch.tensor(answer)
    targets = targets.to(forward.device)
    logits = forward.logits(states[:, :-1])  # (B, A, V): each hidden state predicts the next token
    losses = functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none", ignore_index=-100)
    return losses.sum(-1) / (targets != -100).sum(-1)


class ExpectedValue(Generation):
    """Predicts the mean of the scores of a grid, weighted by the probability of their answers.

    Args:
        task: with a tokenizer.
        decimals: digits after the point of the scores of the grid.
        sign: as for `Generation`.
    """

    def __init__(self, task: Task, decimals: int, sign: Sign = "always") -> None:
        super().__init__(task, decimals, sign=sign)
        self.tree = answer_tree(self.tokenizer, task.label_range, decimals, sign)

    @torch.no_grad()
    def read(self, forward: Forward, prefilled: PrefilledPrompts) -> list[Prediction]:
        """Return the expected scores; `text` is the most probable answer."""
        tree = self.tree
        states = forward.tree_states(prefilled, tree.tokens, tree.parents)
        scores = functional.log_softmax(forward.logits(states), dim=-1)
        columns = []
        for path in tree.paths:
            nodes, tokens = (list(part) for part in zip(*path, strict=True))
            columns.append(scores[:, nodes, tokens].sum(-1))
        weights = torch.stack(columns, dim=1).double().softmax(-1)  # (B, G), normalised over the grid
        values = torch.tensor(tree.values, dtype=torch.float64, device=weights.device)
        best = weights.argmax(-1).tolist()
        expected = (weights * values).sum(-1).tolist()
        return [
            Prediction(score, write_score(tree.values[index], self.decimals, self.sign))
            for score, index in zip(expected, best, strict=True)
        ]
