"""Which sweep has a name in a ledger: reports, experiments and best files are called by it, so no two share one."""

import shlex
from dataclasses import asdict, dataclass

from omni_msa.errors import Problem
from omni_msa.ledger.ledger import Ledger
from omni_msa.system.files import read_json, write_json


@dataclass(frozen=True)
class NameHolder:
    """The sweep that has a name.

    Args:
        name: of the sweep.
        question: what it asks.
        file: its sweep file, absolute.
        settings: what stood on the command line beside it.
    """

    name: str
    question: str
    file: str
    settings: tuple[str, ...] = ()


def read_holder(ledger: Ledger, name: str) -> NameHolder | None:
    """Return the sweep that has a name, None if none has, or if that is not recorded."""
    match read_json(ledger.sweep_name(name)):
        case {"name": str(holder), "question": str(question), "file": str(file), "settings": list(settings)}:
            return NameHolder(holder, question, file, tuple(map(str, settings)))
    return None


def hold(ledger: Ledger, sweep: NameHolder) -> None:
    """Record that the name is this sweep's from now on."""
    write_json(ledger.sweep_name(sweep.name), asdict(sweep))


def refusal(ledger: Ledger, sweep: NameHolder) -> Problem | None:
    """Return what is wrong if the name is another sweep's: neither the file nor the question is the same."""
    holder = read_holder(ledger, sweep.name)
    if holder is None or (sweep.name == holder.name and (sweep.file == holder.file or _is_same(sweep, holder))):
        return None
    got = f"{sweep.name}: {sweep.question}"
    what, where = "this name is held by a sweep that asks something else", sweep.file
    step = f'add a line to the file, as "name: {sweep.name}_2"; or remove {ledger.sweep_name(sweep.name)}'
    return Problem(what, where, got, f"{holder.name}: {holder.question} ({holder.file})", step)


def replaced(ledger: Ledger, sweep: NameHolder) -> str:
    """Return a sentence if the report that stands was made with other settings or another question, else ""."""
    holder = read_holder(ledger, sweep.name)
    if holder is None or not ledger.report_folder(sweep.name).is_dir():
        return ""
    if not _is_same(sweep, holder):
        return f"this report replaces one that asked: {holder.question}"
    if sweep.settings == holder.settings:
        return ""
    before = f"with {shlex.join(holder.settings)}" if holder.settings else "without settings on the command line"
    return f"this report replaces one that was made {before}; to keep both, give one of them another name=..."


def _is_same(sweep: NameHolder, holder: NameHolder) -> bool:
    return sweep.question == holder.question
