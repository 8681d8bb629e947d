"""Options of the report and analysis commands: wrong ones are refused in one sentence, without argparse's usage text."""

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from pdenet_repro.system.errors import InvalidConfig

# What argparse says, and the sentence it becomes.
SENTENCES = (
    (r"argument (\S+): invalid int value: '(.*)'", r"\1 \2: must be a whole number"),
    (r"argument (\S+): invalid float value: '(.*)'", r"\1 \2: must be a number"),
    (r"argument (\S+): invalid choice: '(.*)' \(choose from (.*)\)", r"\1 \2: must be one of \3"),
    (r"argument (\S+): expected (.*)", r"\1: must be followed by \2"),
    (r"argument (\S+): (.*)", r"\1 \2"),
    (r"the following arguments are required: (.*)", r"\1: must be given (see --help)"),
    (r"unrecognized arguments: (.*)", r"\1: there is no such option (see --help)"),
)


class Parser(argparse.ArgumentParser):
    """Raises InvalidConfig, for the caller to show like any other refusal."""

    def error(self, message: str) -> NoReturn:
        """Never returns."""
        for pattern, sentence in SENTENCES:
            found = re.fullmatch(pattern, message, re.S)
            if found:
                raise InvalidConfig(found.expand(sentence).replace("'", "").strip())
        raise InvalidConfig(message)


def folder(word: str) -> Path:
    """A type of option: a folder's name; an empty one would mean the working folder."""
    if not word:
        raise argparse.ArgumentTypeError("'': must be a folder; . is the one you are in")
    return Path(word)


def whole_number(least: int) -> Callable[[str], int]:
    """A type of option: a whole number of at least ``least``."""

    def read(word: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]+", word) or int(word) < least:
            raise argparse.ArgumentTypeError(f"{word}: must be a whole number of at least {least}")
        return int(word)

    return read
