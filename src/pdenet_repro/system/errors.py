"""Errors whose cause a user can remove. Each has one sentence for the user and an exit code for scripts."""

import os
import re
import sys
import traceback


class UserError(Exception):
    """An error whose cause the user can remove; ``str(error)`` is the one sentence that is shown on stderr."""

    exit_code = 2


class InvalidConfig(UserError):
    """A command has a key, choice or value that is not allowed."""


class DataError(UserError):
    """Files of a data set are missing or damaged, or cannot be fetched."""


class RunFolderError(UserError):
    """A folder is no run folder, is incomplete or damaged, or holds another configuration."""


class OtherConfiguration(RunFolderError):
    """A run folder holds a run with other settings than those of the command."""


class NonFiniteNumbers(UserError):
    """The objective, a gradient, a weight or a prediction is infinite or NaN; nothing of it is saved."""

    exit_code = 3


class CheckpointError(RunFolderError):
    """A checkpoint exists, but the run cannot continue from it."""


class StorageError(UserError):
    """A file cannot be written, for example because the disk is full or the folder read-only."""

    exit_code = 4


class OutOfMemory(UserError):
    """The device or the machine has too little memory for the run."""

    exit_code = 6


class RunFolderBusy(UserError):
    """Another process is training in this run folder."""

    exit_code = 5


# Words of PyTorch, CUDA and its libraries for a failed allocation.
NO_MEMORY = "OutOfMemoryError|out of memory|ALLOC_FAILED|can't allocate memory"


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error says that memory could not be allocated."""
    return isinstance(error, MemoryError) or bool(re.search(NO_MEMORY, repr(error)))


def first_line(error: BaseException) -> str:
    """Return the message of an error in one line of at most 200 characters, to be quoted in another message."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def show(error: UserError) -> int:
    """Print the error's sentence on stderr, after its traceback if ``PDENET_DEBUG`` is set, and return its exit code."""
    if os.environ.get("PDENET_DEBUG"):
        traceback.print_exception(error)
    print(error, file=sys.stderr, flush=True)
    return error.exit_code
