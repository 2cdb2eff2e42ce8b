"""What can be wrong with the input, said so that a person can mend it."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from difflib import get_close_matches


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: what, where, what was given, what is allowed, what to do next."""

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
    """Bad input: nothing was started, nothing was lost. The command line exits with code 2.

    Args:
        problems: every problem found, not only the first.
    """

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(f"{number}. {problem}" for number, problem in enumerate(self.problems, 1))


def did_you_mean(name: str, existing: Iterable[str]) -> str:
    """Return a hint `did you mean "x"?` for the nearest existing name, or an empty string."""
    nearest = get_close_matches(name, list(existing), n=1, cutoff=0.5)
    return f'did you mean "{nearest[0]}"?' if nearest else ""


class Interrupted(Exception):
    """A trial was asked to stop and has written its checkpoint; running it again goes on from there."""


class Pruned(Exception):
    """A trial has come as far as it was asked to and has written its checkpoint; promoted, it goes on from there."""


class NotFinite(FloatingPointError):
    """A loss or its gradient is not a finite number.

    Args:
        facts: of the step: `step`, `clips`, `loss`, `gradient_norm`.
    """

    def __init__(self, facts: dict[str, str]) -> None:
        super().__init__(facts)
        self.facts = facts

    def __str__(self) -> str:
        what = "the loss is {loss}, its gradient's norm {gradient_norm} at step {step}; its clips: {clips}"
        return what.format(**self.facts)
