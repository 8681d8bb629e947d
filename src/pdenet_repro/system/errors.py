"""What can go wrong for a reason the user can mend: one sentence each, and an exit code a script can tell apart."""

import re


class UserError(Exception):
    """Something asked for that cannot be had; ``str(error)`` is the one sentence shown on stderr."""

    exit_code = 2


class InvalidConfig(UserError):
    """A key, choice or value the configuration does not allow."""


class DataError(UserError):
    """Files of a data set that are missing, damaged, or cannot be fetched."""


class RunFolderError(UserError):
    """A run folder that holds another configuration, is incomplete, or is no run folder."""


class OtherConfiguration(RunFolderError):
    """A run folder that holds a run with other settings than those asked for."""


class NonFiniteLoss(UserError):
    """The objective became infinite or NaN; the weights of the step before are untouched."""

    exit_code = 3


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
