"""What report.html says of a search, on a known surface."""

import re
from dataclasses import replace

import pytest

from helpers.html_page import parse
from helpers.searched import Searched
from helpers.summaries import findings
from omni_msa.evidence.comparisons.verdict import Verdict
from omni_msa.evidence.gather import gather
from omni_msa.evidence.search_findings import find
from omni_msa.evidence.search_summary import Confirmed, FurtherObjective, ProposalSummary, Spent
from omni_msa.evidence.search_verdict import DEFAULT_FAILED, NOT_DECIDED, NOTHING, REAL, UNFINISHED, headline
from omni_msa.planning.plan import opened
from omni_msa.report.figures import search as figures
from omni_msa.report.page.page import write_page
from omni_msa.report.page.searched import STATES, facts_of, searches_of
from omni_msa.report.search_files import write_searches
from omni_msa.report.tables.search_grids import confirmed_grid, importance_grid


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda number: None)


def evidence_of(place: Searched):
    """Return what a report is made of, its answer that of the searches."""
    plan = place.plan()
    found, evidence = find(plan), gather(opened(plan))
    summary = replace(evidence.summary, verdict=headline(found, evidence.summary.cells))
    return replace(evidence, searches=found, summary=summary)


def section_of(path):
    return path.read_text(encoding="utf-8").partition('<section id="search"')[2].partition("</section>")[0]


def test_the_section_has_verdict_table_figures_and_what_to_run(tmp_path):
    place, folder = Searched(tmp_path), tmp_path / "report"
    place.run()
    evidence = evidence_of(place)
    path = write_page(evidence, figures.draw(evidence, tmp_path / "figures"), folder, "python orchestrate.py a.yaml")
    write_searches(place.plan(), evidence.searches, folder)
    page, (one,) = parse(path), evidence.searches
    section = section_of(path)
    assert page.text.count(one.verdict.text) == 1 and one.verdict.text not in section
    assert f'data-state="{one.verdict.state}"' in path.read_text(encoding="utf-8")
    assert f"<b>{STATES[one.verdict.state]}" not in section
    assert 'href="#search"' in path.read_text(encoding="utf-8")
    assert page.text.index("Result") < page.text.index("What the search found")
    for row in one.confirmed:
        assert f'data-value="{row.fresh_mean!r}"' in section
        assert f'data-value="{row.search_value!r}"' in section
    assert len(re.findall(r'<figure id="figure-search_', section)) == 5
    assert "figure-search_" not in path.read_text(encoding="utf-8").replace(section, "")
    assert "4 of 4 trials in the table complete" in " ".join(page.text.split())
    assert "6 proposals by tpe (seed 0): 6 complete; 5 parameters, 2 seeds for each complete proposal" in page.text
    assert f"python orchestrate.py {place.ledger.report_folder('surface')}/surface_best.yaml" in page.text
    for name in re.findall(r'href="([^"#]+)"', section):
        assert (folder / name).is_file(), name
    assert "A search made 6 proposals and judged them on valid alone" in page.text
    assert "of the cells of a search, those whose test split is open are in the table" in page.text


def test_before_its_end_the_section_says_so(tmp_path):
    place = Searched(tmp_path)
    place.run(num_jobs=5)
    evidence = evidence_of(place)
    text = parse(write_page(evidence, [], tmp_path / "report", "")).text
    assert "Unfinished The search says nothing yet" in " ".join(text.split()) and "opened not at all." in text
    assert "best.yaml" not in text and confirmed_grid(evidence.searches[0]) is None
    assert "no winner has been named yet, and no test split was opened" in text


def test_searches_of_several_cells_are_told_apart(tmp_path):
    place = Searched(tmp_path, axes={"training.epochs": [4, 8]}, budget={"proposals": 3}, confirm={"seeds": [11]})
    place.run()
    evidence = evidence_of(place)
    first, second = searches_of(evidence)
    assert first.title != second.title and (first.best, second.best) == ("surface_best.yaml", "surface_best_2.yaml")
    assert first.has("search_history") and second.has("search_history_2")
    assert not first.has("search_history_2") and not second.has("search_history") and not first.has("bars")
    path = write_page(evidence, [], tmp_path / "report", "")
    text = parse(path).text
    assert "What the searches found" in text and "2 searches made 6 proposals" in text
    for one in evidence.searches:
        assert f"<b>{STATES[one.verdict.state]}.</b> {one.verdict.text}" in section_of(path)


def test_the_section_gives_the_verdict_where_the_head_gives_another(tmp_path):
    place = Searched(tmp_path, budget={"proposals": 3}, confirm={"seeds": [11]})
    place.run()
    evidence = evidence_of(place)
    (one,) = searches_of(evidence)
    assert one.text == ""
    other = replace(evidence.summary, verdict=replace(evidence.summary.verdict, text="Something else."))
    (one,) = searches_of(replace(evidence, summary=other))
    assert one.text == evidence.searches[0].verdict.text


@pytest.mark.parametrize("state", [REAL, NOT_DECIDED, NOTHING, DEFAULT_FAILED, UNFINISHED])
def test_every_state_of_a_search_has_words_and_a_look(tmp_path, state):
    place = Searched(tmp_path)
    evidence = evidence_of(place)
    summary = replace(evidence.summary, verdict=Verdict("So it is.", state))
    page = write_page(replace(evidence, summary=summary), [], tmp_path / "report", "")
    text = page.read_text(encoding="utf-8")
    assert f'<div class="verdict" data-state="{state}">\n<p class="state">{STATES[state]}</p>' in text
    assert STATES[state] != state and (state == NOTHING) == (f'[data-state="{state}"]' not in text)


DEFAULT = Confirmed(
    study="s",
    configuration="default",
    search_value=0.5,
    fresh_mean=0.52,
    fresh_std=0.01,
    n=2,
    fresh_values=[0.51, 0.53],
    further={"peak_memory_gb": FurtherObjective(2.0, 2.25, 0.5)},
)
FOURTH = replace(
    DEFAULT,
    configuration="4",
    search_value=0.75,
    search_gain=0.25,
    fresh_mean=0.6,
    fresh_std=None,
    n=1,
    fresh_gain=0.08,
    fresh_values=[0.6],
    parameters="adapter.rank=8",
)
FOUND = findings(
    objectives=["corr"],
    importances={"adapter.rank": 0.75, "readout.loss": 0.25},
    confirmed=[DEFAULT, FOURTH],
    num_confirmed=1,
    winner=4,
)


def test_gains_over_the_default_with_the_same_seeds_by_hand():
    grid = confirmed_grid(FOUND)
    assert grid.title == "Corr on valid, in the search and with fresh seeds"
    assert grid.headings == [
        *("configuration", "in the search", "better than the default by (search)", "fresh seeds, mean", "std", "n"),
        *("better than the default by (fresh)", "state", "parameters"),
    ]
    assert [entry.text for entry in grid.rows[1]] == [
        *("proposal 4", "0.750", "+0.250", "0.600", "\N{EN DASH}", "1", "+0.080", "complete", "adapter.rank=8")
    ]
    assert [entry.text for entry in grid.rows[0]][:7] == [
        *("default", "0.500", "\N{EN DASH}", "0.520", "0.010", "2", "\N{EN DASH}")
    ]
    assert [row[0].bold for row in grid.rows] == [False, True]
    notes = " ".join(grid.notes)
    assert "The default has run on both sets of seeds" in notes and "winner's curse" in notes
    assert "The fresh seeds did not choose this proposal" in notes and "no part" not in notes
    assert "optimistic" not in notes and "Bold: the winner." in grid.notes
    assert "Bold" not in " ".join(confirmed_grid(replace(FOUND, winner=None)).notes)


def test_the_best_of_several_is_said_to_be_chosen_by_fresh_seeds():
    several = replace(FOUND, confirmed=[DEFAULT, FOURTH, replace(FOURTH, configuration="5")], num_confirmed=3)
    notes = " ".join(confirmed_grid(several).notes)
    assert "did not choose these 2 proposals" in notes and "its mean is slightly optimistic" in notes
    assert "(3 confirmations so far)" in notes
    assert "(2 confirmations so far)" in " ".join(confirmed_grid(replace(FOUND, num_confirmed=2)).notes)


def test_without_seeds_there_is_one_number_and_the_choice_was_made_on_it():
    grid = confirmed_grid(replace(FOUND, is_fresh=False))
    assert grid.title == "Corr on valid"
    assert grid.headings[1:3] == ["value", "better than the default by"]
    assert "fresh" not in " ".join([*grid.headings, *grid.notes])
    assert "The readout has no seeds" in grid.notes[0] and "the choice was made on this very number" in grid.notes[0]


def test_a_second_objective_has_both_means_and_names_nobody():
    grid = confirmed_grid(replace(FOUND, objectives=["corr", "peak_memory_gb"]))
    places = [grid.headings.index(f"Peak memory (GB), {when}") for when in ("in the search", "fresh seeds")]
    assert [grid.rows[1][place].text for place in places] == ["2.00", "2.25"]
    assert grid.rows[1][grid.headings.index("Peak memory, std")].text == "0.50"
    assert "The first objective, Corr, decides which one on the front is named." in grid.notes
    assert not any("first objective" in note for note in confirmed_grid(FOUND).notes)


def test_a_proposal_with_the_numbers_of_the_default_is_said_to_be_it():
    same = replace(DEFAULT, configuration="7", search_gain=0.0, fresh_gain=0.0, parameters="adapter.rank=2")
    grid = confirmed_grid(replace(FOUND, confirmed=[DEFAULT, FOURTH, same]))
    assert [grid.rows[2][place].text for place in (2, 6)] == ["0.000", "0.000"]
    (note,) = [note for note in grid.notes if "exactly the numbers" in note]
    assert note.startswith("Proposal 7 has exactly the numbers of the default")
    assert not any("exactly the numbers" in note for note in confirmed_grid(FOUND).notes)


def test_importances_of_a_first_rung_say_so():
    shares = importance_grid(FOUND)
    assert [[entry.text for entry in row] for row in shares.rows] == [["adapter.rank", "75"], ["readout.loss", "25"]]
    assert shares.title == "Which parameters mattered (fANOVA)"
    early = importance_grid(replace(FOUND, first_rung="after 1 of 4 epochs of one seed"))
    assert early.title == "Which parameters mattered (fANOVA, after 1 of 4 epochs of one seed)"
    assert importance_grid(replace(FOUND, importances={})) is None


def facts_with(history, **changes):
    made = {"sampler": "gp", "seed": 3, "space": {"adapter.rank": {}}, "spent": Spent(7200.0, 5400.0)}
    made |= {"times_test_was_opened": 2, "num_known": 1, "winner": 1}
    return facts_of(findings(history=history, **{**made, **changes}))


def test_the_facts_by_hand():
    history = [ProposalSummary(number, state) for number, state in HISTORY]
    assert facts_with(history) == [
        "3 proposals by gp (seed 3): 2 pruned, 1 complete; 1 parameter, 2 seeds for each complete proposal, "
        "1.5 hours of trials.",
        "Proposals were chosen on valid alone. The test split was opened twice, each time after a winner was named.",
        "Given to the sampler at the start: 1 cell with results in the ledger.",
        "Winner: proposal 1.",
    ]
    assert facts_with(history, winner="default")[-1] == "Winner: the default configuration."
    assert "1 parameter, no seeds, " in facts_with(history, is_fresh=False)[0]
    assert facts_with(history, times_test_was_opened=1)[1].endswith("opened once, after a winner was named.")
    assert facts_with(history, times_test_was_opened=0)[1].endswith("opened not at all.")


def test_failed_proposals_say_why_the_first_of_many():
    failed = [ProposalSummary(number, "failed", why=f"seed {number}: no.") for number in range(7)]
    facts = facts_with([ProposalSummary(9, "complete"), *failed[:1]])
    assert [fact for fact in facts if "failed:" in fact] == ["Proposal 0 failed: seed 0: no."]
    facts = facts_with(failed)
    assert sum("failed:" in fact for fact in facts) == 5
    assert "And 2 further proposals failed; the reasons are in search.json." in facts


HISTORY = ((0, "pruned"), (1, "complete"), (2, "pruned"))
