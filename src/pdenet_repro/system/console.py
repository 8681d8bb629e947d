"""Output of a run while it trains: lines, progress bars on a terminal, and the log file ``run.log``."""

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
except ValueError:  # a TQDM_ variable of the environment is no number, as in TQDM_MININTERVAL=x
    for name in [name for name in os.environ if name.startswith("TQDM_")]:
        del os.environ[name]
    from tqdm import tqdm

Item = TypeVar("Item")


class TolerantStream:
    """Output stream that raises no error, so that a closed pipe (``| head``) or a full disk costs lines, not the run.

    After the first error all output goes to the null device. Characters that the stream's encoding lacks are escaped.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write ``text`` and return its length; raises neither OSError nor UnicodeEncodeError."""
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        with self._surviving():
            self.stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def flush(self) -> None:
        """Flush the stream; raises no OSError."""
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
            os.dup2(null, self.stream.fileno())  # the rest of the stream's buffer goes there too
            os.close(null)


def _open_closed_streams() -> None:
    """Open the null device for each standard stream that this process was started without (``>&-``, some schedulers).

    Otherwise the first file that it opens, such as a lock, would get the stream's number, and printed lines would go there.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def ignore_failed_output() -> None:
    """Replace stdout and stderr of this process, so that a line that cannot be printed raises no error."""
    _open_closed_streams()
    if not isinstance(sys.stdout, TolerantStream):
        sys.stdout, sys.stderr = TolerantStream(sys.stdout), TolerantStream(sys.stderr)


@contextmanager
def surviving_output() -> Iterator[None]:
    """Context of a command in which failed output is ignored; at its end the former streams, such as a notebook's, return.

    A PermissionError that no other code has handled is printed as one sentence and ends the command with exit code 2.
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
    """Writes lines to the terminal, above any progress bars, and with the time to the file ``path`` once that is set.

    ``name``: the run's name, which stands before each line on the terminal; given where several runs train at once.
    """

    def __init__(self, name: str = "") -> None:
        self.path: Path | None = None
        self.failed = False  # whether a line could not be written to path
        self.prefix = f"{name}: " if name else ""

    def say(self, line: str) -> None:
        """Write a line of information, on stdout."""
        self._put(line, sys.stdout)

    def warn(self, line: str) -> None:
        """Write a warning, on stderr: of a problem after which the program continues."""
        self._put(f"warning: {line}", sys.stderr)

    def _put(self, line: str, stream: Any) -> None:
        tqdm.write(self.prefix + line, file=stream)
        stream.flush()
        if self.path is None:
            return
        try:
            with self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S} {line}\n")
        except OSError as error:  # costs lines of the log, not the run
            if not self.failed:
                tqdm.write(
                    f"{self.prefix}warning: cannot write {self.path}: {error.strerror or error}; lines are missing there",
                    file=sys.stderr,
                )
            self.failed = True


def progress(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
    """Yield the items and show a progress bar on a terminal; elsewhere print ``what`` once, at the start."""
    if not sys.stderr.isatty():
        print(what, flush=True)
    yield from tqdm(items, what, total, leave=False, dynamic_ncols=True, disable=not sys.stderr.isatty())


class Bars:
    """Progress bars on a terminal, for the whole run and for its epoch or evaluation; none if other runs train at once."""

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
        """Count one more training step as done."""
        self.whole.update()
        self.part.update()

    def evaluated(self, what: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` images are evaluated; ``what``: the images, such as ``test``."""
        if self.part.total != total or self.part.desc != f"{what}: ":
            self._restart(what, total, 0)
        self.part.update(done - self.part.n)

    def close(self) -> None:
        """Close both bars; the outer one stays visible."""
        self.part.close()
        self.whole.close()

    def _restart(self, what: str, total: int, done: int) -> None:
        self.part.reset(total)
        self.part.set_description(what)
        self.part.update(done)


def epoch_line(row: dict[str, Any], timing: dict[str, Any], epochs: int, seconds_left: float) -> str:
    """Return one line on an epoch, from its rows of ``metrics.csv`` and ``timings.csv``."""
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
