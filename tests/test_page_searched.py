"""What report.html says of a search, on a known surface."""

import re
from dataclasses import replace

import pytest
from searched import Searched
from test_page import parse

from omni_msa.evidence import gather
from omni_msa.figures import search as figures
from omni_msa.finish_search import find, write_searches
from omni_msa.grids.search_grids import confirmed_grid, importance_grid
from omni_msa.page.page import write_page
from omni_msa.page.searched import facts_of, searches_of
from omni_msa.plan import opened


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda number: None)


def evidence_of(place: Searched):
    plan = place.plan()
    return replace(gather(opened(plan)), searches=find(plan))


def test_the_section_has_verdict_table_figures_and_what_to_run(tmp_path):
    place, folder = Searched(tmp_path), tmp_path / "report"
    place.run()
    evidence = evidence_of(place)
    path = write_page(evidence, figures.draw(evidence, tmp_path / "figures"), folder, "python orchestrate.py a.yaml")
    write_searches(place.plan(), evidence.searches, folder)
    page, (one,) = parse(path), evidence.searches
    section = path.read_text(encoding="utf-8").partition('<section id="search"')[2].partition("</section>")[0]
    assert one["verdict"]["text"] in page.text and 'href="#search"' in path.read_text(encoding="utf-8")
    assert page.text.index("Result") < page.text.index("What the search found")
    for row in one["confirmed"]:
        assert f'data-value="{row["fresh_mean"]!r}"' in section
        assert row["search_value"] is None or f'data-value="{row["search_value"]!r}"' in section
    assert len(re.findall(r'<figure id="figure-search_', section)) == 5
    assert "figure-search_" not in path.read_text(encoding="utf-8").replace(section, "")
    assert "6 proposals by tpe (seed 0): 6 complete; 5 parameters, 2 seeds a whole proposal" in page.text
    assert f"python orchestrate.py {place.ledger.report_folder('surface')}/best.yaml" in page.text
    for name in re.findall(r'href="([^"#]+)"', section):
        assert (folder / name).is_file(), name
    assert "A search made 6 proposals and chose by valid alone" in page.text
    assert "of the cells of a search, those whose test split is open are in the table" in page.text


def test_before_its_end_the_section_says_so(tmp_path):
    place = Searched(tmp_path)
    place.run(num_jobs=5)
    evidence = evidence_of(place)
    text = parse(write_page(evidence, [], tmp_path / "report", "")).text
    assert "Unfinished. The search says nothing yet" in text and "opened not at all." in text
    assert "best.yaml" not in text and confirmed_grid(evidence.searches[0]) is None


def test_searches_of_several_cells_are_told_apart(tmp_path):
    place = Searched(tmp_path, axes={"training.epochs": [4, 8]}, budget={"proposals": 3}, confirm={"seeds": [11]})
    place.run()
    evidence = evidence_of(place)
    first, second = searches_of(evidence)
    assert first.title != second.title and (first.best, second.best) == ("best_1.yaml", "best_2.yaml")
    assert first.has("search_history") and second.has("search_history_2")
    assert not first.has("search_history_2") and not second.has("search_history") and not first.has("bars")
    text = parse(write_page(evidence, [], tmp_path / "report", "")).text
    assert "What the searches found" in text and "2 searches made 6 proposals" in text


FOUND = {
    "objectives": ["corr"],
    "importances": {"adapter.rank": 0.75, "readout.loss": 0.25},
    "confirmed": [
        {"configuration": "default", "search_value": None, "fresh_mean": 0.5, "fresh_std": 0.01, "n": 3}
        | {"state": "complete", "parameters": ""},
        {"configuration": "4", "search_value": 0.75, "fresh_mean": 0.7, "fresh_std": None, "n": 1}
        | {"state": "complete", "parameters": "adapter.rank=8"},
    ],
}


def test_how_far_the_choice_flattered_by_hand():
    grid = confirmed_grid(FOUND)
    place = grid.headings.index("flattered by")
    assert grid.rows[0][place].text == "\N{EN DASH}" and grid.rows[1][place].value == pytest.approx(0.05)
    assert [row[0].text for row in grid.rows] == ["default", "proposal 4"]
    lower = confirmed_grid({**FOUND, "objectives": ["mae"]})
    assert lower.rows[1][place].value == pytest.approx(-0.05)
    shares = importance_grid(FOUND)
    assert [[entry.text for entry in row] for row in shares.rows] == [["adapter.rank", "75"], ["readout.loss", "25"]]
    assert importance_grid({**FOUND, "importances": {}}) is None


def test_the_facts_by_hand():
    history = [{"state": state, "proposal": number, "parameters": {"adapter.rank": 8}} for number, state in HISTORY]
    found = {"history": history, "sampler": "gp", "seed": 3, "space": {"adapter.rank": {}}, "seeds": [1, 2]}
    found |= {"spent": {"work_s": 5400.0}, "times_test_was_opened": 2, "num_known": 1, "winner": 1}
    assert facts_of(found) == [
        "3 proposals by gp (seed 3): 2 cut, 1 complete; 1 parameter, 2 seeds a whole proposal, 1.5 hours of trials.",
        "Proposals were chosen on valid alone. The test split was opened twice, after a winner was named.",
        "Told at the start: 1 cell that the ledger knew before.",
        "Winner: proposal 1 (adapter.rank=8).",
    ]
    assert facts_of({**found, "winner": "default"})[-1] == "Winner: the default configuration."


HISTORY = ((0, "pruned"), (1, "complete"), (2, "pruned"))
