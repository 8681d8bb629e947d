"""Checks what libraries would fail on: variables of the environment, the folder of compiled code, the working folder."""

import os
import re
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from pdenet_repro.system.errors import InvalidConfig, StorageError, UserError, first_line
from pdenet_repro.system.files import make_folder

COMPILER_CACHE = "TORCHINDUCTOR_CACHE_DIR"
# How often a waiting thread of PyTorch's looks for work before it sleeps. GNU's OpenMP lets it look for milliseconds, which
# takes the processor from the thread it waits for if anything else runs (docs/performance.md).
SPIN_COUNT = "10000"
# An option of PyTorch's memory allocator: a name and a value, or a name and values in brackets.
OPTION = r"[^,:\[\]]+:([^,:\[\]]+|\[[^\[\]]+\])"
_refusal: UserError | None = None  # error of a failed import of PyTorch: a process cannot try it twice


def _warn(line: str) -> None:
    print(f"warning: {line}", file=sys.stderr, flush=True)


def load_torch(warn: Callable[[str], None] = _warn, compiler: bool = True) -> None:
    """Import PyTorch, and if ``compiler`` is true its compiler; ``warn`` is called if its cache had to be moved.

    Raises
    ------
    InvalidConfig
        PyTorch cannot be imported as its variables in the environment are set, for example ``TORCH_LOGS=nonsense``.
    """
    global _refusal
    if _refusal is not None:
        raise _refusal
    for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"):
        value = "".join(os.environ.get(name, "").split())
        if value and not re.fullmatch(f"{OPTION}(,{OPTION})*", value):  # the whole process would be aborted
            raise InvalidConfig(
                f"{name}={value}: must be NAME:VALUE,NAME:VALUE,..., as in expandable_segments:True; or unset it"
            )
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    names = [name for name in os.environ if re.match("(AOTINDUCTOR|INDUCTOR|PYTORCH|TORCH)", name)]
    settings = " ".join(f"{name}={os.environ[name]}" for name in names)
    try:
        import_module("torch")
        if compiler:
            use_writable_compiler_cache(warn)
            import_module("torch._dynamo.config")
            import_module("torch._inductor.config")
    except Exception as error:
        if not settings:
            raise
        _refusal = InvalidConfig(
            f"{settings}: PyTorch cannot be loaded with this in the environment ({first_line(error)}); unset what is wrong"
        )
        raise _refusal from error


def use_writable_compiler_cache(warn: Callable[[str], None]) -> None:
    """Choose another folder for compiled code if that of TORCHINDUCTOR_CACHE_DIR, or PyTorch's default, is not writable.

    PyTorch creates the folder even if nothing is compiled, and fails with a traceback if it cannot.
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
    """Raise InvalidConfig if the working folder has been deleted, since relative paths then mean nothing."""
    try:
        os.getcwd()
    except OSError as error:
        raise InvalidConfig(
            f"the folder in which this command was typed is gone ({error.strerror}); change to another one with cd"
        ) from None
