"""Which files are this package's, wherever they lie in it."""

import shutil
from pathlib import Path

import omni_msa
from omni_msa.system import own_code

PACKAGE = Path(omni_msa.__file__).parent


def test_files_of_every_package_are_our_own_and_those_beside_it_are_not():
    assert own_code.is_own(str(PACKAGE / "errors.py"))
    assert own_code.is_own(str(PACKAGE / "data" / "media" / "decode.py"))
    assert not own_code.is_own(f"{PACKAGE}_of_others/errors.py")
    assert not own_code.is_own(__file__)


def test_the_digest_changes_with_any_file_in_any_folder(tmp_path):
    copy = shutil.copytree(PACKAGE, tmp_path / "copy", ignore=shutil.ignore_patterns("__pycache__"))
    assert own_code.digest(copy) == own_code.digest()
    seen = {own_code.digest()}
    for name in ("errors.py", "model/forward.py", "data/media/decode.py"):
        (copy / name).write_text("# other\n")
        seen.add(own_code.digest(copy))
    (copy / "errors.py").rename(copy / "system" / "errors.py")
    seen.add(own_code.digest(copy))
    assert len(seen) == 5
