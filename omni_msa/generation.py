"""Readouts that go through the answer's text: trained on its tokens, read greedily or as an expected value."""

import torch
from torch import Tensor
from torch.nn import functional

from omni_msa.answers import answer_ids, answer_tree, end_of_turn, parse_score, write_score
from omni_msa.forward import Forward
from omni_msa.prompt import Prompt
from omni_msa.readout import Prediction, Readout, Task


class Generation(Readout):
    """Writes the score as text.

    Args:
        task: with a tokenizer.
        decimals: digits after the point.
        num_tokens_max: of a decoded answer.
    """

    decodes = True

    def __init__(self, task: Task, decimals: int, num_tokens_max: int = 8) -> None:
        super().__init__()
        assert task.tokenizer is not None
        self.task = task
        self.tokenizer = task.tokenizer
        self.decimals = decimals
        self.num_tokens_max = num_tokens_max

    def answer(self, label: float) -> tuple[int, ...]:
        """Return the label's answer with its end of turn."""
        text = write_score(label, self.decimals)
        return (*answer_ids(self.tokenizer, text), end_of_turn(self.tokenizer))

    def losses(self, forward: Forward, prompts: list[Prompt], labels: Tensor) -> Tensor:
        """Return each clip's mean cross-entropy over its answer tokens, (B,)."""
        answers = [self.answer(label) for label in labels.tolist()]
        longest = max(map(len, answers))
        targets = torch.full((len(answers), longest), -100)
        for place, answer in enumerate(answers):
            targets[place, : len(answer)] = torch.tensor(answer)
        targets = targets.to(forward.device)
        logits = forward.logits(
            forward.states(prompts, answers)[:, :-1]
        )  # (B, A, V): each state predicts the next token
        losses = functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none", ignore_index=-100)
        return losses.sum(-1) / (targets != -100).sum(-1)

    def predict(self, forward: Forward, prompts: list[Prompt]) -> list[Prediction]:
        """Decode greedily and read the first number."""
        decoded = forward.decode(prompts, self.num_tokens_max, end_of_turn(self.tokenizer))
        texts = [str(self.tokenizer.decode(ids)) for ids in decoded]
        return [parse_score(text, self.task.label_range) for text in texts]


class ExpectedValue(Generation):
    """Reads the mean of the answer distribution over a grid, each answer weighted by its probability.

    Args:
        task: with a tokenizer.
        decimals: digits after the point, of the grid.
    """

    def __init__(self, task: Task, decimals: int) -> None:
        super().__init__(task, decimals)
        self.tree = answer_tree(self.tokenizer, task.label_range, decimals)

    @torch.no_grad()
    def predict(self, forward: Forward, prompts: list[Prompt]) -> list[Prediction]:
        """Return the expected score; `text` is the most probable answer of the grid."""
        tree = self.tree
        scores = functional.log_softmax(forward.logits(forward.tree_states(prompts, tree.tokens, tree.parents)), dim=-1)
        columns = []
        for path in tree.paths:
            nodes, tokens = (list(part) for part in zip(*path, strict=True))
            columns.append(scores[:, nodes, tokens].sum(-1))
        weights = torch.stack(columns, dim=1).double().softmax(-1)  # (B, G), within the grid
        values = torch.tensor(tree.values, dtype=torch.float64, device=weights.device)
        best = weights.argmax(-1).tolist()
        expected = (weights * values).sum(-1).tolist()
        return [
            Prediction(score, write_score(tree.values[place], self.decimals))
            for score, place in zip(expected, best, strict=True)
        ]
