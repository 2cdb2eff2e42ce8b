"""Each kind of failure, and what is done about it."""

import errno
import os
import re
from pathlib import Path

import pytest

from helpers.stand_ins import config
from omni_msa.config.trial import parse_trial
from omni_msa.data.inputs.preprocess import BadClip
from omni_msa.errors import InputError, NotFinite, Problem
from omni_msa.execution.failures import adapted, facts_of, kind_of, reaction_to
from omni_msa.ledger.ledger import Ledger
from omni_msa.system.lease import LeaseLost


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


def entry(kind, retried=True):
    return {"kind": kind, "retried": retried}


FACTS = {"step": "3", "clips": "a, b", "loss": "nan", "gradient_norm": "1.0"}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("x"), "bug"),
        (NotFinite(FACTS), "not finite"),
        (FloatingPointError("x"), "not finite"),
        (MemoryError(), "out of memory"),
        (OutOfMemoryError("CUDA out of memory"), "out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ..."), "out of memory"),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later"), "out of memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "out of memory"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), "out of memory"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "bug"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk full"),
        (OSError(errno.EACCES, "Permission denied"), "bug"),
        (RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"), "disk full"),
        (InputError(Problem("x")), "bad input"),
        (BadClip(Problem("x")), "bad clip"),
        (LeaseLost("x"), "lost process"),
    ],
)
def test_the_kind_of_an_exception(error, kind):
    assert kind_of(error) == kind


def test_a_loss_that_is_not_finite_tells_step_clips_and_loss():
    try:
        raise NotFinite(FACTS)
    except NotFinite as error:
        facts = facts_of(error)
        assert FACTS.items() <= facts.items() and facts["place"].startswith("NotFinite in test_failures.py:")
        assert str(error) == "the loss is nan and the gradient norm 1.0 at step 3; clips of the batch: a, b"


def test_the_place_of_a_failure_names_our_lines_in_every_package_that_led_to_it():
    """A configuration that is refused: the error is raised by pydantic's caller in config/, called through sweep/."""
    try:
        parse_trial({"dataset": {"name": "vader_av"}, "backbone": {"name": "tiny"}, "readout": {"name": 7}})
    except InputError as error:
        place = facts_of(error)["place"]
    assert re.fullmatch(r"InputError in trial\.py:\d+", place)
    try:
        Ledger(Path(os.devnull)).write_format()
    except OSError as error:
        place = facts_of(error)["place"]
    assert re.search(r"< files\.py:\d+ < files\.py:\d+.* < ledger\.py:\d+$", place)


def test_a_failure_without_cure_has_no_reaction():
    assert [reaction_to(kind, [], config()) for kind in ("bug", "not finite", "bad input", "bad clip")] == [""] * 4


def test_a_lost_process_is_free_three_times_and_a_hang_once():
    lost = [entry("lost process")]
    assert reaction_to("lost process", lost * 2, config()) == "free retry 3 of 3"
    assert reaction_to("lost process", lost * 3, config()) == ""
    assert reaction_to("hang", lost * 3, config()) == "free retry 1 of 1"
    assert reaction_to("hang", [entry("hang")], config()) == ""


def test_after_a_final_failure_all_counts_start_afresh():
    history = [*[entry("lost process")] * 3, entry("lost process", retried=False)]
    assert reaction_to("lost process", history, config()) == "free retry 1 of 3"
    halved = [entry("out of memory"), entry("bug", retried=False)]
    assert adapted(config(), halved) == config()


@pytest.mark.parametrize(
    ("num_halvings", "batches"), [(0, (8, 3)), (1, (2, 1)), (2, (1, 1)), (3, (1, 1)), (40, (1, 1))]
)
def test_batches_are_halved_from_what_is_really_used(num_halvings, batches):
    trial = config(runtime={"micro_batch": 8, "eval_batch": 3})  # the effective batch is 4
    runtime = adapted(trial, [entry("out of memory")] * num_halvings).runtime
    assert (runtime.micro_batch, runtime.eval_batch) == batches


def test_no_id_depends_on_what_memory_allowed():
    from omni_msa.config.identity import trial_id

    trial = config(runtime={"micro_batch": 4})
    assert trial_id(trial, "x") == trial_id(adapted(trial, [entry("out of memory")]), "x")


def test_below_one_clip_a_pass_there_is_nothing_to_halve():
    trial = config(runtime={"micro_batch": 1, "eval_batch": 1})
    assert reaction_to("out of memory", [], trial) == ""
    assert reaction_to("out of memory", [], config(runtime={"micro_batch": 1, "eval_batch": 2})) != ""


def test_what_is_put_off_is_never_counted():
    assert reaction_to("disk full", [entry("disk full")] * 50, config()) != ""
    assert reaction_to("card busy", [entry("card busy")] * 50, config()) != ""
