"""How much was tried, and what chose."""

from helpers.made_cells import made_plan
from helpers.searched import Searched
from omni_msa.evidence.comparisons.selection import selection_of
from omni_msa.planning.plan import opened


def test_counts_and_sentences(tmp_path, write_sweep, own_cache):
    said = {"constant": {None: {"mae": 1.0}}}
    plan = made_plan(
        tmp_path,
        write_sweep,
        said,
        select="{metric: corr, split: valid}",
        axes="{readout: [discriminative, generative, constant]}",
    )
    found = selection_of(plan, 2, "mae")
    counts = {name: value for name, value in vars(found).items() if name.startswith("num_")}
    assert counts == {
        "num_cells": 3,
        "num_seeds": 2,
        "num_trials": 5,
        "num_complete": 1,
        "num_failed": 0,
        "num_proposals": 0,
        "num_confirmed": 0,
        "num_comparisons": 2,
    }
    assert found.checkpoint == "valid corr, best of 2 epochs"
    assert found.text[0] == (
        "3 cells and 2 seeds make 5 trials, of which 1 is complete and none failed; "
        "every cell of the sweep is in the table."
    )
    assert "the best of 2 epochs by Corr on valid" in found.text[2]
    assert any("luckiest" in sentence for sentence in found.text)
    named = "2 comparisons on MAE, named in the sweep file or on the command line, share one correction (Holm)"
    assert found.text[-1].startswith(named)
    assert "share" in selection_of(plan, 1, "mae").text[-1]
    more = selection_of(plan, 2, "mae", 4).text
    assert more[:-1] == found.text and more[-1].startswith("Fix the number of further seeds once: looking again")
    assert selection_of(plan, 2, "mae", 0).text == found.text


def test_epochs_on_an_axis_and_one_seed(tmp_path, write_sweep, own_cache):
    plan = made_plan(tmp_path, write_sweep, axes="{training.epochs: [3, 1]}", seeds="[4]")
    found = selection_of(plan, 0, "mae")
    assert found.checkpoint == "valid mae, best of 1 or 3 epochs"
    assert len(found.text) == 3 and not any("Holm" in text or "luckiest" in text for text in found.text)
    assert "2 cells and 1 seed make 2 trials" in found.text[0]


def test_a_search_says_by_what_it_was_named_and_what_was_opened(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda number: None)
    place = Searched(tmp_path, budget={"proposals": 4}, confirm={"best": 2, "seeds": [11]})
    place.run(num_jobs=3)
    early = selection_of(opened(place.plan()), 0, "mae")
    assert early.num_confirmed == 0
    assert early.text[1].endswith("; no winner has been named yet, and no test split was opened.")
    place.run()
    found = selection_of(opened(place.plan()), 1, "mae")
    assert (found.num_proposals, found.num_confirmed) == (4, 2)
    assert found.text[1] == (
        "A search made 4 proposals and judged them on valid alone; the best were run again with fresh seeds "
        "(2 confirmations), which named the winner, on valid too. Only then was test opened, for the best proposal and "
        "the default alone."
    )
