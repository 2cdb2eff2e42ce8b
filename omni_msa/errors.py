"""Exceptions shared by all packages, and `Problem`: the form in which every mistake in the input is reported."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from difflib import get_close_matches


@dataclass(frozen=True)
class Problem:
    """One mistake in the input: what is wrong, where, which value was given, what is allowed, what to do next."""

    what: str
    where: str = ""
    got: str = ""
    allowed: str = ""
    next_step: str = ""

    def __str__(self) -> str:
        labels = ("", "where", "got", "allowed", "next")
        first, *rest = zip(labels, astuple(self), strict=True)
        return "\n".join([first[1], *(f"    {label + ':':9}{text}" for label, text in rest if text)])


class InputError(Exception):
    """The input is wrong: nothing was started and nothing was lost. The command line exits with code 2.

    Args:
        problems: every problem found, not only the first.
    """

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(f"{number}. {problem}" for number, problem in enumerate(self.problems, 1))


_SYNONYMS = {"gpu": "cuda", "lr": "learning_rate", "picture": "video", "sound": "audio"}


def did_you_mean(name: str, existing: Iterable[str]) -> str:
    """Return the hint `did you mean "x"?` for the existing name closest to `name`, or "" if none is similar."""
    known = {other.lower(): other for other in existing}
    meant = _SYNONYMS.get(name.lower(), name.lower())
    nearest = get_close_matches(meant, known, n=1, cutoff=0.5)
    return f'did you mean "{known[nearest[0]]}"?' if nearest else ""


class Interrupted(Exception):
    """A trial was asked to stop. It has written a checkpoint, and the next run resumes from it."""


class Pruned(Exception):
    """A trial was stopped after the epochs it was given. If it is promoted, it resumes from the checkpoint it wrote."""


class NotFinite(FloatingPointError):
    """The loss of a training step, or its gradient, is not finite.

    Args:
        facts: `step`, `clips`, `loss` and `gradient_norm` of that step, as text.
    """

    def __init__(self, facts: dict[str, str]) -> None:
        super().__init__(facts)
        self.facts = facts

    def __str__(self) -> str:
        what = "the loss is {loss} and the gradient norm {gradient_norm} at step {step}; clips of the batch: {clips}"
        return what.format(**self.facts)
