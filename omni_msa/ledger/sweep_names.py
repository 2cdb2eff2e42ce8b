"""Names of sweeps within a ledger: reports and experiments are named after them, so each belongs to one sweep."""

import shlex
from dataclasses import asdict, dataclass

from omni_msa.errors import Problem
from omni_msa.ledger.ledger import Ledger
from omni_msa.system.files import read_json, write_json


@dataclass(frozen=True)
class NameHolder:
    """The sweep that uses a name.

    Args:
        name: of the sweep.
        question: of the sweep.
        file: its sweep file, absolute.
        settings: its settings on the command line.
    """

    name: str
    question: str
    file: str
    settings: tuple[str, ...] = ()


def read_holder(ledger: Ledger, name: str) -> NameHolder | None:
    """Return the sweep that uses a name, or None if no sweep is recorded."""
    match read_json(ledger.sweep_name(name)):
        case {"name": str(holder), "question": str(question), "file": str(file), "settings": list(settings)}:
            return NameHolder(holder, question, file, tuple(map(str, settings)))
    return None


def hold(ledger: Ledger, sweep: NameHolder) -> None:
    """Record that this sweep uses its name from now on."""
    write_json(ledger.sweep_name(sweep.name), asdict(sweep))


def refusal(ledger: Ledger, sweep: NameHolder) -> Problem | None:
    """Return a problem if another sweep uses the name: one with another file and another question."""
    holder = read_holder(ledger, sweep.name)
    if holder is None or (sweep.name == holder.name and (sweep.file == holder.file or _is_same(sweep, holder))):
        return None
    what = f"the name {sweep.name} belongs to another question of this ledger: {holder.question} ({holder.file})"
    free = f"remove {ledger.sweep_name(sweep.name)}: all trials stay, the report is then replaced"
    step = f'add a line to the file, as "name: {sweep.name}_2"; or {free}'
    return Problem(what, sweep.file, sweep.question, "", step)


def replaced(ledger: Ledger, sweep: NameHolder) -> str:
    """Return a note if the present report was made with other settings or for another question, else ""."""
    holder = read_holder(ledger, sweep.name)
    if holder is None or not ledger.report_folder(sweep.name).is_dir():
        return ""
    if not _is_same(sweep, holder):
        return f"this report replaces one for the question: {holder.question}"
    if sweep.settings == holder.settings:
        return ""
    before = f"with {shlex.join(holder.settings)}" if holder.settings else "without settings on the command line"
    return f"this report replaces one that was made {before}; to keep both, set name=... for one of them"


def _is_same(sweep: NameHolder, holder: NameHolder) -> bool:
    return sweep.question == holder.question
