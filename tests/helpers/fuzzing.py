"""What the fuzz tests share: how they mutate plain values, and how they ask the command line."""

import contextlib
import io
import os
import pickle
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from omni_msa.cli.main import main
from omni_msa.errors import InputError

NUM_EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))
MESSAGE_LENGTH_MAX = 20_000
FUZZ = settings(
    max_examples=NUM_EXAMPLES,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)

NUMBERS: list[Any] = [0, -1, 1, 2, 3, 7.5, -0.0, 1e-320, 1e308, 2**31 - 1, 2**31, 2**63 - 1, -(2**63), 2**64, 10**30]
NUMBERS += [float("nan"), float("inf"), -float("inf")]
TEXTS = ["", " ", "é", "\u202e", "\x00", "\t", "a" * 5000, "🎉", "\ud800", "../x", "~nobody", "/dev/null", "NaN", "on"]
TEXTS += [
    "constant",
    "text",
    "mae",
    "tiny",
    "pocket",
    "rtx",
    "last_3",
    "last_99999",
    "=",
    "%s{}",
    "a\nb",
    "[x]",
    "\x1b[31m",
]
KEYS = [
    "readout",
    "adapter",
    "adapter.rank",
    "seed",
    "seeds",
    "name",
    "repeat",
    "axes",
    "root",
    "runtime",
    "",
    ".",
    "a.b",
]
KEYS += [
    "__class__",
    "model_config",
    "decimals",
    "micro_batch",
    "epochs",
    "num_train",
    "weights",
    "modalities",
    "media",
]
VALUES = st.recursive(
    st.sampled_from([None, True, False, *NUMBERS, *TEXTS]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=5,
)


def nodes(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every (container, key) of a tree of mappings and lists."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield tree, key
        yield from nodes(value)


def mutate_tree(tree: Any, draw: Callable[..., Any]) -> None:
    """Change one place: another value, no value, another name, a copy beside it, or one level more."""
    places = list(nodes(tree))
    if not places:
        return
    inside, key = places[draw(st.integers(0, len(places) - 1))]
    how = draw(st.sampled_from(["value", "value", "delete", "rename", "copy", "wrap", "number"]))
    if how == "delete":
        del inside[key]
    elif how == "wrap":
        inside[key] = draw(st.sampled_from([[inside[key]], {"name": inside[key]}, str(inside[key])]))
    elif how == "number":
        inside[key] = draw(st.sampled_from(NUMBERS))
    elif how == "value":
        inside[key] = draw(VALUES)
    elif isinstance(inside, dict):
        value = inside.pop(key) if how == "rename" else inside[key]
        inside[draw(st.sampled_from(KEYS) | st.text(max_size=5))] = value
    else:
        inside.append(inside[key])


def outcome(*arguments: str) -> tuple[int, str, str]:
    """Run the command line in this process; return its exit code and what it printed to both streams."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace") for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(["run", *arguments])
        except SystemExit as end:  # of argparse
            code = end.code
        out.flush()
        err.flush()
    return code, out.buffer.getvalue().decode(), err.buffer.getvalue().decode()


def check_error(error: InputError) -> None:
    assert error.problems
    for problem in error.problems:
        assert problem.what and problem.where, problem
    assert pickle.loads(pickle.dumps(error)).problems == error.problems
