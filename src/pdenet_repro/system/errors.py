"""Errors that a user can mend: one sentence each, and an exit code that a script can tell apart."""

import os
import re
import sys
import traceback


class UserError(Exception):
    """A failure whose cause the user can mend; ``str(error)`` is the one sentence shown on stderr."""

    exit_code = 2


class InvalidConfig(UserError):
    """A key, choice or value the configuration does not allow."""


class DataError(UserError):
    """Files of a data set that are missing, damaged, or cannot be fetched."""


class RunFolderError(UserError):
    """A run folder that holds another configuration, is incomplete, or is no run folder."""


class OtherConfiguration(RunFolderError):
    """A run folder that holds a run with other settings than the command has."""


class NonFiniteNumbers(UserError):
    """The objective, a gradient, a weight or a prediction is infinite or NaN; nothing of it is saved."""

    exit_code = 3


class CheckpointError(RunFolderError):
    """A checkpoint that exists and that the run cannot go on from."""


class StorageError(UserError):
    """A file could not be written: disk full, read-only folder."""

    exit_code = 4


class OutOfMemory(UserError):
    """The device or the machine has too little memory for the run."""

    exit_code = 6


class RunFolderBusy(UserError):
    """Another process is training in this run folder."""

    exit_code = 5


# What PyTorch, CUDA and its libraries say.
NO_MEMORY = "OutOfMemoryError|out of memory|ALLOC_FAILED|can't allocate memory"


def is_of_memory(error: Exception) -> bool:
    """Whether an allocation failed."""
    return isinstance(error, MemoryError) or bool(re.search(NO_MEMORY, repr(error)))


def first_line(error: BaseException) -> str:
    """What an error says, in one line of at most 200 characters, for a sentence of ours."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def show(error: UserError) -> int:
    """Print one sentence on stderr, with ``PDENET_DEBUG`` set the traceback before it; returns the exit code."""
    if os.environ.get("PDENET_DEBUG"):
        traceback.print_exception(error)
    print(error, file=sys.stderr, flush=True)
    return error.exit_code
