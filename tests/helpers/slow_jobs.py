"""Jobs that last until they are stopped."""

import ctypes
import os
from pathlib import Path


def sleep_long(path: Path) -> None:
    path.write_text(str(os.getpid()))
    ctypes.PyDLL(None).sleep(60)  # without letting go of the interpreter: no thread of Python runs meanwhile
