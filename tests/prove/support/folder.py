"""The folder of a proof: it stays, and is named, when somebody asked for it or something was wrong."""
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def in_folder(name: str, keep: bool, proof: Callable[[Path], bool]) -> int:
    """Runs `proof` in a new folder. The exit code: 0 when it says that all is right."""
    directory = Path(tempfile.mkdtemp(prefix=f"klaxon-{name}-"))
    right = False
    try:
        right = proof(directory)
    finally:
        if keep or not right:
            print(f"logs: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    return 0 if right else 1
