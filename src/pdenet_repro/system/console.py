"""What a person sees while a run goes on: lines, bars on a terminal, and the log file."""

import datetime
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pdenet_repro.system.errors import RunFolderError, show
from pdenet_repro.system.formatting import duration

try:
    from tqdm import tqdm
except ValueError:  # of a variable of its own that is no number, as TQDM_MININTERVAL=x
    for name in [name for name in os.environ if name.startswith("TQDM_")]:
        del os.environ[name]
    from tqdm import tqdm

Item = TypeVar("Item")


class TolerantStream:
    """A stream whose reader may leave (``| head``) or whose disk may fill: what is lost are lines, not the work.

    After the first error everything goes to the null device. Characters that its encoding lacks are escaped.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """As any stream; never an OSError, nor a UnicodeEncodeError."""
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        with self._surviving():
            self.stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def flush(self) -> None:
        """As any stream; never an OSError."""
        with self._surviving():
            self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    @contextmanager
    def _surviving(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.stream.fileno())  # what is still in its buffer goes there too
            os.close(null)


def _open_closed_streams() -> None:
    """Give a process that was started without streams (``>&-``, some schedulers) the null device in their place.

    Otherwise the first file that it opens, such as a lock, gets the stream's number, and what is printed goes there.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def ignore_failed_output() -> None:
    """Have this process go on when nobody reads what it prints any more, or it was started without streams."""
    _open_closed_streams()
    if not isinstance(sys.stdout, TolerantStream):
        sys.stdout, sys.stderr = TolerantStream(sys.stdout), TolerantStream(sys.stderr)


@contextmanager
def surviving_output() -> Iterator[None]:
    """Context of a command in which failed output is ignored; the streams before, which may be a notebook's, return.

    A folder of somebody else's that nothing else has dealt with is one sentence there, and ends the command with exit code 2.
    """
    _open_closed_streams()
    streams = sys.stdout, sys.stderr
    ignore_failed_output()
    try:
        yield
    except PermissionError as error:
        sys.exit(
            show(RunFolderError(f"{error.filename}: {error.strerror}; make it accessible, or name another folder"))
        )
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = streams


class Log:
    """One line at a time: to the terminal, above any bars, and with the time to ``run.log`` once there is a folder.

    ``name``, of a run beside which others train, stands before each line on the terminal.
    """

    def __init__(self, name: str = "") -> None:
        self.path: Path | None = None
        self.failed = False  # whether a line could not be written there
        self.prefix = f"{name}: " if name else ""

    def say(self, line: str) -> None:
        """Something worth knowing, on stdout."""
        self._put(line, sys.stdout)

    def warn(self, line: str) -> None:
        """Something that went wrong and is dealt with, on stderr."""
        self._put(f"warning: {line}", sys.stderr)

    def _put(self, line: str, stream: Any) -> None:
        tqdm.write(self.prefix + line, file=stream)
        stream.flush()
        if self.path is None:
            return
        try:
            with self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S} {line}\n")
        except OSError as error:  # what is lost are lines, not the work
            if not self.failed:
                tqdm.write(
                    f"{self.prefix}warning: cannot write {self.path}: {error.strerror or error}; lines are missing there",
                    file=sys.stderr,
                )
            self.failed = True


def progress(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
    """The items, with a bar on a terminal while they are worked on, a line at the start otherwise."""
    if not sys.stderr.isatty():
        print(what, flush=True)
    yield from tqdm(items, what, total, leave=False, dynamic_ncols=True, disable=not sys.stderr.isatty())


class Bars:
    """On a terminal a bar for the whole run and one for the epoch or evaluation; nothing where others train beside it."""

    def __init__(self, epochs: int, steps: int, done: int, alone: bool = True) -> None:
        self.epochs, self.steps = epochs, steps
        off = not (alone and sys.stderr.isatty())
        self.whole = tqdm(total=epochs * steps, initial=done, unit="step", disable=off, dynamic_ncols=True)
        self.part = tqdm(total=steps, unit="step", disable=off, leave=False, dynamic_ncols=True)

    def start_epoch(self, epoch: int, step: int) -> None:
        """Start the inner bar of an epoch of which ``step`` steps are done."""
        self.whole.set_description(f"epoch {epoch}/{self.epochs}")
        self._restart("training", self.steps, step)

    def step(self) -> None:
        """One training step is done."""
        self.whole.update()
        self.part.update()

    def evaluated(self, what: str, done: int, total: int) -> None:
        """``done`` of ``total`` images are evaluated."""
        if self.part.total != total or self.part.desc != f"{what}: ":
            self._restart(what, total, 0)
        self.part.update(done - self.part.n)

    def close(self) -> None:
        """Leave the outer bar as it stands."""
        self.part.close()
        self.whole.close()

    def _restart(self, what: str, total: int, done: int) -> None:
        self.part.reset(total)
        self.part.set_description(what)
        self.part.update(done)


def epoch_line(row: dict[str, Any], timing: dict[str, Any], epochs: int, seconds_left: float) -> str:
    """One epoch in one line."""
    parts = [
        f"epoch {row['epoch']}/{epochs}",
        f"rate {row['learning_rate']:g}",
        f"loss {row['loss']:.4f} (data {row['data_loss']:.4f}, smoothness {row['smoothness']:.4f}, decay {row['decay']:.4f})",
        f"running training accuracy {row['running_train_accuracy']:.2%}",
    ]
    for split in ("validation", "test"):
        if row[f"{split}_accuracy"] is not None:
            parts.append(f"{split} {row[f'{split}_accuracy']:.2%}")
    parts.append(f"{timing['images_per_second']:.1f} images/s")
    if seconds_left:
        parts.append(f"{duration(seconds_left)} left")
    return "  ".join(parts)
