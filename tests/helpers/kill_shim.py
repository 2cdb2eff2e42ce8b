"""Kills at exact moments: what the processes of a sweep under test load at their start, as `sitecustomize`.

The product stays as it is: Python itself tells (`sys.addaudithook`) when a file is renamed, opened or removed.
`KILLS` names a folder; `moments.json` in it lists the moments (see `kill_harness.Moment`). Each comes once.
"""

import contextlib
import importlib.machinery
import importlib.util
import json
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path

FOLDER = Path(os.environ["KILLS"])
MOMENTS = json.loads((FOLDER / "moments.json").read_text())
IS_DRIVER = any(word.endswith("orchestrate.py") for word in sys.orig_argv)
JOURNALED = ("result.json", "fit.json")  # what may be written only once
local = threading.local()


def count(name: str) -> int:
    """Count one more event of a name over all processes, and return the number."""
    file = os.open(FOLDER / f"{name}.count", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    try:
        os.write(file, b".")
        return os.lseek(file, 0, os.SEEK_CUR)
    finally:
        os.close(file)


def kill(moment: dict) -> None:
    victims = [os.getpid()] if moment["victim"] == "self" else others(moment["victim"])
    (FOLDER / f"{moment['name']}.hit").write_text(" ".join(map(str, victims)))
    for pid in sorted(victims, key=lambda pid: pid == os.getpid()):  # itself last
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, getattr(signal, moment["signal"]))


def others(name: str) -> list[int]:
    """Return the processes of this run whose program or script has a name, as "raylet", or a title, as "ray::"."""
    mine, found = f"KILLS={FOLDER}".encode(), []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")[:2]
            is_named = any(word.startswith(name.encode()) or word.endswith(name.encode()) for word in words)
            if is_named and (has_note(entry) or mine in (entry / "environ").read_bytes().split(b"\0")):
                found.append(int(entry.name))
    return found


def say_hello() -> None:
    """Leave a note that this process belongs to the sweep: some overwrite their own environment with a title."""
    (FOLDER / "pids" / str(os.getpid())).write_text(started(Path("/proc/self")))


def has_note(process: Path) -> bool:
    note = FOLDER / "pids" / process.name
    return note.exists() and note.read_text() == started(process)


def started(process: Path) -> str:
    """Return field 22 of proc(5) stat: when the process started."""
    return (process / "stat").read_text().rpartition(")")[2].split()[19]


def reached(kind: str, text: str, is_over: bool) -> None:
    """Kill if this is the moment; is_over: the thing has been done, else it is about to be."""
    for moment in MOMENTS:
        is_alike = (moment["kind"], moment["is_after"]) == (kind, is_over) and re.search(moment["pattern"], text)
        if is_alike and count(moment["name"]) == moment["number"]:
            kill(moment)


def on_event(event: str, arguments: tuple) -> None:
    if getattr(local, "is_busy", False):
        return
    due = getattr(local, "due", None)
    kind = event.removeprefix("os.") if event in ("os.rename", "os.remove", "open") else None
    kind = "open" if event == "sqlite3.connect" else kind
    if due is None and kind is None:
        return
    local.is_busy = True
    try:
        if due is not None:  # the event after a rename: by now it has been done
            local.due = None
            happened(due)
        path = arguments[1 if kind == "rename" else 0] if kind else None
        if isinstance(path, str | bytes | os.PathLike):
            text = os.fsdecode(path)
            reached(kind, text, False)
            if kind == "rename":
                local.due = text
                time.sleep(float(os.environ.get("KILLS_PACE_S", "0")) * text.endswith("metrics.jsonl"))
    finally:
        local.is_busy = False


def happened(path: str) -> None:
    if path.endswith(JOURNALED):
        with (FOLDER / "journal").open("a") as journal:
            journal.write(path + "\n")
    reached("rename", path, True)


class Mlflow:
    """Finds MLflow's client as it is imported and wraps the methods that moments name."""

    def find_spec(self, name, path, target=None):
        if name != "mlflow.tracking.client":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def exec_module(module) -> None:
            load(module)
            for method in {moment["pattern"] for moment in MOMENTS if moment["kind"] == "mlflow"}:
                wrap(module.MlflowClient, method)

        spec.loader.exec_module = exec_module
        return spec


def wrap(kind: type, method: str) -> None:
    inner = getattr(kind, method)

    def outer(*args, **named):
        reached("mlflow", method, False)
        value = inner(*args, **named)
        reached("mlflow", method, True)
        return value

    setattr(kind, method, outer)


def load_the_next() -> None:
    """Load the `sitecustomize` that this one stands in front of, if there is one."""
    rest = [folder for folder in sys.path if Path(folder).resolve() != Path(__file__).resolve().parent]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", rest)
    if spec is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


load_the_next()
say_hello()
if IS_DRIVER and any(moment["kind"] == "mlflow" for moment in MOMENTS):
    sys.meta_path.insert(0, Mlflow())
sys.addaudithook(on_event)
