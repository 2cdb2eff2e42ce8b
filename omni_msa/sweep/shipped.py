"""The sweeps and profiles shipped with the package, found by name; a file of the user's own has priority."""

from pathlib import Path

from omni_msa.config.validation import shorten
from omni_msa.errors import InputError, Problem, did_you_mean

_PACKAGE = Path(__file__).parents[1]
_FOLDER = "sweeps"
PROFILES = "profiles"


def folder() -> Path:
    """Return the folder of shipped sweeps: beside the package in a checkout, inside it once installed."""
    inside = _PACKAGE / "shipped_sweeps"  # pyproject.toml puts them there in the wheel
    return inside if inside.is_dir() else _PACKAGE.parent / _FOLDER


def names() -> list[str]:
    """Return the names of all shipped sweeps, sorted: their paths below the folder without `.yaml`."""
    paths = (file.relative_to(folder()) for file in folder().rglob("*.yaml"))
    return sorted(path.with_suffix("").as_posix() for path in paths if path.parts[0] != PROFILES)


def profile_names() -> list[str]:
    """Return the names of all shipped profiles, sorted."""
    return sorted(file.stem for file in (folder() / PROFILES).glob("*.yaml"))


def find(text: str) -> tuple[Path, str]:
    """Return the sweep file that a text names, and a note if a shipped sweep has the same name.

    Args:
        text: a path; or a name, with or without `sweeps/` and `.yaml`, of a file in the working directory or in its
            `sweeps/`, else of a shipped sweep.

    Returns:
        the file, and "" or the note that a file of the user's own is used instead of the shipped sweep.

    Raises:
        InputError: there is no such sweep; lists the shipped ones and the most similar name.
    """
    name = text.removeprefix(f"{_FOLDER}/").removesuffix(".yaml")
    shipped = folder() / f"{name}.yaml" if name in names() else None
    for own in (Path(text), Path(f"{name}.yaml"), Path(_FOLDER, f"{name}.yaml")):
        if own.is_file():
            is_other = shipped is not None and not own.samefile(shipped)
            return own, f"{name}: using your file {own}, not the shipped sweep of that name" if is_other else ""
    if shipped is not None:
        return shipped, ""
    if Path(text).exists() or len(text) > 200:
        return Path(text), ""  # for example a folder: reading it gives the error
    allowed = f"a YAML file, or a shipped sweep: {', '.join(names())}"
    raise InputError(Problem("there is no such sweep", "", shorten(text), allowed, did_you_mean(name, names())))


def is_shipped(path: Path) -> bool:
    """Return whether a sweep file is one that comes with the package."""
    return path.resolve().is_relative_to(folder().resolve())


def location_of(path: Path) -> str:
    """Return the absolute path of a sweep file; of a shipped one `sweeps/NAME.yaml`, wherever the package is."""
    return f"{_FOLDER}/{name_of(path)}.yaml" if is_shipped(path) else str(path.absolute())


def name_of(path: Path) -> str:
    """Return the name that a sweep has by its file: for a shipped one its path below `sweeps/`, else the stem."""
    if not is_shipped(path):
        return path.stem
    return path.resolve().relative_to(folder().resolve()).with_suffix("").as_posix()
