"""An argparse parser for the package's commands: it reports a wrong option in one sentence, without the usage text."""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from pdenet_repro.system.environment import refuse_missing_working_folder
from pdenet_repro.system.errors import InvalidConfig, UserError, show

# Patterns of argparse's messages, and the sentence that takes the place of each.
SENTENCES = (
    (r"argument (\S+): invalid int value: '(.*)'", r"\1 \2: must be a whole number"),
    (r"argument (\S+): invalid float value: '(.*)'", r"\1 \2: must be a number"),
    (r"argument (\S+): invalid choice: '(.*)' \(choose from (.*)\)", r"\1 \2: must be one of \3"),
    (r"argument (\S+): ignored explicit argument '(.*)'", r"\1=\2: \1 takes no value"),
    (r"argument (\S+): expected (.*)", r"\1: must be followed by \2"),
    (r"argument (\S+): (.*)", r"\1 \2"),
    (r"the following arguments are required: (.*)", r"\1: must be given (see --help)"),
    (r"unrecognized arguments: (.*)", r"\1: there is no such option (see --help)"),
)


class Parser(argparse.ArgumentParser):
    """Argument parser that raises InvalidConfig where argparse would print its usage text and exit."""

    def error(self, message: str) -> NoReturn:
        """Raise InvalidConfig with argparse's ``message``, reworded."""
        for pattern, sentence in SENTENCES:
            found = re.fullmatch(pattern, message, re.S)
            if found:
                raise InvalidConfig(found.expand(sentence).replace("'", "").strip())
        raise InvalidConfig(message)

    def execute(self, arguments: Sequence[str], action: Callable[[argparse.Namespace], None], stopped: str = "") -> int:
        """Parse ``arguments``, call ``action`` with the options, and return the exit code of the command.

        A UserError is printed as one sentence on stderr. After Ctrl-C ``stopped`` is printed there; the code is then 130.
        """
        try:
            refuse_missing_working_folder()
            action(self.parse_args(arguments))
        except UserError as error:
            return show(error)
        except KeyboardInterrupt:
            print(stopped, file=sys.stderr, end="\n" * bool(stopped))
            return 130
        return 0


def folder(word: str) -> Path:
    """Return the path of a folder (an argparse ``type``); an empty name is an error, since it would mean the working folder."""
    if not word:
        raise argparse.ArgumentTypeError("'': must be a folder; . is the one you are in")
    return Path(word)


def whole_number(least: int) -> Callable[[str], int]:
    """Return an argparse ``type`` for whole numbers of at least ``least``."""

    def read(word: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]+", word) or int(word) < least:
            raise argparse.ArgumentTypeError(f"{word}: must be a whole number of at least {least}")
        return int(word)

    return read
