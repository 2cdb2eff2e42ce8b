"""The sweeps and profiles that come with the package: found by name from any folder, a file of one's own first."""

from pathlib import Path

from omni_msa.config.validation import shorten
from omni_msa.errors import InputError, Problem, did_you_mean

_PACKAGE = Path(__file__).parents[1]
_FOLDER = "sweeps"
PROFILES = "profiles"


def folder() -> Path:
    """Return the folder of shipped sweeps: beside the package in a checkout, in it where it was installed."""
    inside = _PACKAGE / "shipped_sweeps"  # pyproject.toml has the wheel put them there
    return inside if inside.is_dir() else _PACKAGE.parent / _FOLDER


def names() -> list[str]:
    """Return the names of all shipped sweeps, sorted: paths below the folder, without the ending."""
    found = (file.relative_to(folder()) for file in folder().rglob("*.yaml"))
    return sorted(path.with_suffix("").as_posix() for path in found if path.parts[0] != PROFILES)


def profile_names() -> list[str]:
    """Return the names of all shipped profiles, sorted."""
    return sorted(file.stem for file in (folder() / PROFILES).glob("*.yaml"))


def find(text: str) -> tuple[Path, str]:
    """Return the sweep file that was meant, and a note if a shipped one has the same name.

    Args:
        text: a file; or a name with or without `sweeps/` and `.yaml`: of a file of one's own in this folder or in its
            `sweeps/`, else of a shipped sweep.

    Raises:
        InputError: there is none; says the nearest name and all of them.
    """
    name = text.removeprefix(f"{_FOLDER}/").removesuffix(".yaml")
    shipped = folder() / f"{name}.yaml" if name in names() else None
    for own in (Path(text), Path(f"{name}.yaml"), Path(_FOLDER, f"{name}.yaml")):
        if own.is_file():
            is_other = shipped is not None and not own.samefile(shipped)
            return own, f"{name}: your file {own} is used, not the shipped sweep of that name" if is_other else ""
    if shipped is not None:
        return shipped, ""
    if Path(text).exists() or len(text) > 200:
        return Path(text), ""  # a folder, say: reading it tells what is wrong
    allowed = f"a YAML file, or a shipped sweep: {', '.join(names())}"
    raise InputError(Problem("there is no such sweep", "", shorten(text), allowed, did_you_mean(name, names())))


def name_of(path: Path) -> str:
    """Return the name that a sweep has by its file: of a shipped one the path below the folder, else the stem."""
    inside, full = folder().resolve(), path.resolve()
    return full.relative_to(inside).with_suffix("").as_posix() if full.is_relative_to(inside) else path.stem
