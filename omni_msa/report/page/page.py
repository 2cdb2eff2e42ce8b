"""Writes report.html: one self-contained file that opens from disk and needs no network."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from omni_msa.config.lookups import root_of
from omni_msa.config.sections import DatasetOptions
from omni_msa.config.trial import classes_of
from omni_msa.evidence.comparisons.controls import HASHES
from omni_msa.evidence.gather import Evidence
from omni_msa.report.page import clips, facts
from omni_msa.report.page.measured import measured_on
from omni_msa.report.page.players import Player, Players, clips_of
from omni_msa.report.page.searched import STATES, searches_of
from omni_msa.report.tables.files import side_grids
from omni_msa.report.tables.formats import html_table
from omni_msa.report.tables.grid import Grid, build_grid
from omni_msa.sweep.labels import axis_text
from omni_msa.system.files import write_text
from omni_msa.text import count

if TYPE_CHECKING:
    from omni_msa.data.clip import Clip
    from omni_msa.report.figures.canvas import Figure

NAME = "report.html"
SVG_BYTES_MAX = 300_000
"""A figure whose SVG is larger than this is embedded as PNG."""
BESIDE = {
    "table.md": "headline table, Markdown",
    "table.csv": "cells, full precision",
    "table.tex": "headline table, LaTeX",
    "pivot.csv": "the primary metric by two axes",
    "trials.csv": "trials, full precision",
    "aggregate.json": "all statistics",
    "dropped_clips.csv": "clips that every trial leaves out",
    "probe.csv": "probes of every layer",
    "neighbours.csv": "label differences to the nearest neighbours",
}
"""Files of the report's folder that the page links to if they exist, and what each holds."""
_HERE = Path(__file__).parent
_HASH_STATES = {
    "identical": "recorded as identical",
    "explained": "differs, as the axis implies",
    "differs": "differs, and should not",
    "not recorded": "not recorded",
    "not used": "used by neither",
}
_STATES = {
    "supported": "Supported",
    "not decided": "Not decided",
    "no comparison": "No comparison",
    "incomplete": "Incomplete",
    **STATES,
}


@dataclass(frozen=True)
class Shown:
    """A clip as the page shows it; `clip` is None where the data is not on this machine."""

    example: clips.Example
    clip: "Clip | None"
    players: list[Player]


def write_page(evidence: Evidence, figures: "Sequence[Figure]", folder: Path, command: str) -> Path:
    """Write `report.html`.

    Args:
        evidence: of the sweep.
        figures: drawn from it; `bars` goes below the headline table, `differences` below the table of differences,
            those of searches into the section on searches, all others into a section of their own.
        folder: of the report; tables that it holds already are linked to.
        command: the command line that reproduces the report, "" if unknown.

    Returns:
        The path of the file; the same evidence gives the same bytes.
    """
    text = _template().render(
        command=command,
        files={name: what for name, what in BESIDE.items() if (folder / name).is_file()},
        pictures=_pictures(figures),
        figures=figures,
        searches=searches_of(evidence),
        **_files(),
        **_contents(evidence),
    )
    write_text(folder / NAME, text)
    return folder / NAME


def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"setting": _setting, "breakable": _breakable, "number": count}
    environment.filters |= {"address": _address, "boxed": _boxed}
    return environment.get_template("report.html.jinja")


def _files() -> dict[str, str]:
    """Return style and script, which the page embeds verbatim; the browser runs only the script with this digest."""
    script = (_HERE / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    style = (_HERE / "report.css").read_text(encoding="utf-8")
    return {"script": Markup(script), "script_hash": digest, "style": Markup(style)}


def _contents(evidence: Evidence) -> dict[str, Any]:
    verdict = evidence.summary.verdict
    state = _STATES[verdict.state]
    is_classes = any(classes_of(cell.config.dataset) for cell in evidence.plan.sweep.cells)
    return {
        "plan": evidence.plan,
        "measured_on": measured_on(evidence),
        "answer": _without_state(verdict.text, state),
        "state": state,
        "counts": evidence.plan.counts(),
        "summary": evidence.summary,
        "hash_titles": {name: one.title for name, one in HASHES.items()},
        "hash_states": _HASH_STATES,
        "tables": _tables(evidence),
        "trials": facts.trial_table(evidence),
        "failures": facts.failures(evidence),
        "environment": facts.environment(evidence.records),
        "configuration": facts.configuration(evidence),
        "pair": clips.compared_pair(evidence),
        "clips": _clips(evidence),
        "error_is": "share of seeds that were wrong" if is_classes else "mean absolute error over seeds",
    }


def _tables(evidence: Evidence) -> dict[str, Markup]:
    """Return the tables of numbers by name, without `controls`: the page has a section for these."""
    grids = {"headline": build_grid(evidence.summary), **side_grids(evidence.summary, evidence.plan.sweep.file.pivot)}
    return {name: _boxed(grid, name) for name, grid in grids.items() if name != "controls"}


def _boxed(grid: Grid, name: str) -> Markup:
    """Return a table in a scrollable box that can be focused by keyboard; its title and notes stay outside the box."""
    table, end, notes = html_table(replace(grid, title=""), name).partition("</table>\n")
    title = Markup('<p class="caption">{}</p>\n').format(grid.title) if grid.title else ""
    label = Markup('<div class="scroll" tabindex="0" role="region" aria-label="{}">').format(grid.title or name)
    return Markup(f"{title}{label}{table}{end}</div>\n{notes}")


def _pictures(figures: "Sequence[Figure]") -> "dict[str, list[Figure]]":
    """Return the figures by the section of the page that they belong to, without those of searches."""
    by_section: dict[str, list[Figure]] = {"bars": [], "differences": [], "others": []}
    for figure in figures:
        if not figure.name.startswith("search_"):
            by_section[figure.name if figure.name in by_section else "others"].append(figure)
    return by_section


def _address(figure: "Figure") -> str:
    """Return a figure as a data URI: SVG, or PNG where the SVG is too large."""
    is_vector = figure.svg.stat().st_size <= SVG_BYTES_MAX
    path, kind = (figure.svg, "svg+xml") if is_vector else (figure.png, "png")
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _clips(evidence: Evidence) -> list[Shown]:
    players = Players(evidence.plan.sweep.file.embed_media)
    known: dict[DatasetOptions, Mapping[str, Clip]] = {}
    shown = []
    for example in clips.choose(evidence):
        if example.dataset not in known:
            known[example.dataset] = clips_of(example.dataset)
        clip = known[example.dataset].get(example.clip_id)
        media = players.of(clip, root_of(example.dataset)) if clip else []
        shown.append(Shown(example, clip, media))
    return shown


def _without_state(text: str, state: str) -> str:
    """Return the answer without a leading repetition of the state, which the page shows above it."""
    rest = text.removeprefix(f"{state}: ")
    return text if rest == text else rest[:1].upper() + rest[1:]


def _setting(value: Any) -> str:
    """Return the value of a setting as text for the page."""
    if isinstance(value, list | tuple) and not all(isinstance(item, str) for item in value):
        return json.dumps(value)
    return (axis_text(value) if value is not None else "") or "none"


def _breakable(name: str) -> Markup:
    """Return a dotted path in which a line may break after each dot."""
    return Markup(".<wbr>").join(name.split("."))
