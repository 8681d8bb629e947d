"""What a process finds around it and its libraries would trip over: checked before they do."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from pdenet_repro.system.errors import InvalidConfig, StorageError
from pdenet_repro.system.files import make_folder

COMPILER_CACHE = "TORCHINDUCTOR_CACHE_DIR"


def use_writable_compiler_cache(warn: Callable[[str], None]) -> None:
    """Choose another folder for compiled code where that of TORCHINDUCTOR_CACHE_DIR, or PyTorch's own, cannot be written.

    PyTorch makes the folder even where nothing is compiled, and ends with a traceback where it cannot.
    """
    name = os.environ.get(COMPILER_CACHE)
    try:
        if name is None:
            from torch._inductor.runtime.cache_dir_utils import default_cache_dir

            name = default_cache_dir()  # KeyError for a user without a name
        make_folder(Path(name))
    except (StorageError, KeyError) as error:
        os.environ[COMPILER_CACHE] = tempfile.mkdtemp(prefix="pdenet-compiled-")
        warn(f"{COMPILER_CACHE}: {error}; compiled code is kept in {os.environ[COMPILER_CACHE]} this time")


def refuse_missing_working_folder() -> None:
    """Raise InvalidConfig where the folder in which the command was typed has been deleted: relative paths mean nothing."""
    try:
        os.getcwd()
    except OSError as error:
        raise InvalidConfig(
            f"the folder in which this command was typed is gone ({error.strerror}); change to another one with cd"
        ) from None
