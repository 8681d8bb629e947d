"""The folder of a run: training writes it, and reports, analyses and sweeps learn of the run from this folder alone.

Its path ``OUTPUT_ROOT/NAME/DYNAMIC/fraction-0.10/seed-0`` follows from the configuration; ``variation=VARIATION`` makes it
``fraction-0.10-VARIATION``. The folder holds

- ``config.yaml``: the resolved configuration; ``command.txt``: the command that was typed
- ``metrics.csv``: a row for each epoch, with the same bytes whenever the run is repeated
- ``timings.csv``: a row for each epoch, with times and memory, which differ whenever the run is repeated
- ``summary.json``: the result; it is written last, so that a folder that has it is finished
- ``weights.safetensors``, ``predictions.npz``, ``confusion.csv``, ``tensorboard/``, ``run.log``
- ``examples.npz``: a few test images, so that Figure 1 can be drawn without the data set
- ``dynamic.py``: a copy of the file of ``dynamic=FILE.py:CLASS``, for a dynamic that is not built in
- ``checkpoints/`` and ``progress.json`` while the run is unfinished, ``failure.json`` after an attempt that failed
- ``run.lock``, and ``running.json`` while a process holds the folder (`pdenet_repro.system.lock`)
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import MISSING as NO_DEFAULT
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from pdenet_repro.config.dynamics import facts_of, read_source
from pdenet_repro.config.schema import Config, all_settings, value_of
from pdenet_repro.system.errors import InvalidConfig, OtherConfiguration, RunFolderError, UserError, first_line
from pdenet_repro.system.files import make_folder, remove, remove_leftovers, sha256, write_atomically
from pdenet_repro.system.lock import FolderLock

CHECKSUM_KEY = "summary_sha256"
DYNAMIC_COPY = "dynamic.py"  # the copy of a file with a user's own dynamic
PROGRESS = "progress.json"  # epochs done and time left
WEIGHTS = "weights.safetensors"
# Files with a checksum in the summary; a run with a user's own dynamic also has that of DYNAMIC_COPY.
RESULT_FILES = (
    "config.yaml", "metrics.csv", "timings.csv", WEIGHTS, "predictions.npz", "examples.npz", "confusion.csv"
)  # fmt: skip
SEED_LINE = re.compile(r"^seed: (0|[1-9][0-9]*)$", re.MULTILINE)  # of config.yaml
EARLIER_NAMES = {"train_accuracy": "running_train_accuracy"}  # earlier and present names of columns of metrics.csv


def path_of(config: Config) -> Path:
    """Return the path of a configuration's run folder; it has the fraction with two decimals, or more if it needs them."""
    data = config.data
    fraction = Decimal(f"{data.fraction:.10f}").normalize()
    decimals = max(2, -int(fraction.as_tuple().exponent))
    fold = "" if data.fold is None else f"fold-{data.fold}-"
    variation = f"-{config.variation}" if config.variation else ""
    return (
        Path(config.output_root).expanduser() / config.name / config.dynamic
        / f"{fold}fraction-{fraction:.{decimals}f}{variation}" / f"seed-{config.seed}"
    )  # fmt: skip


def has_standard_path(folder: Path, config: Config) -> bool:
    """Return whether a run's folder is named as its configuration says: ``DYNAMIC/fraction-0.10/seed-0``."""
    return folder.absolute().parts[-3:] == path_of(config).parts[-3:]


def to_yaml(config: Config) -> str:
    """Return a configuration as the content of ``config.yaml``."""
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def load_config(folder: Path) -> Config:
    """Return the configuration of a run folder; RunFolderError if there is none or it is damaged.

    For a dynamic that is not built in, ``dynamic_file`` is the folder's copy of its file or, if there is no copy, the file
    that was typed. The dynamic's facts are read from the file, which is not executed; it is no error if the file is missing.
    """
    path = folder / "config.yaml"
    try:
        content = path.read_text("utf-8")
    except FileNotFoundError:
        raise RunFolderError(f"{folder} is no run folder: it has no config.yaml") from None
    except (OSError, ValueError) as error:
        raise RunFolderError(f"cannot read {path} ({first_line(error)}); make it readable or restore it") from error
    try:
        loaded = from_yaml(content)
    except ValueError as error:
        raise RunFolderError(
            f"{path} is damaged or of another version ({error}); restore it or remove the folder"
        ) from error
    if loaded.dynamic_file:
        copy = folder.absolute() / DYNAMIC_COPY
        loaded.dynamic_file = str(copy) if copy.is_file() else loaded.dynamic_file
        with suppress(InvalidConfig):  # the code that needs the file reports that
            facts_of(loaded.dynamic, loaded.dynamic_file)
    return loaded


def from_yaml(content: str) -> Config:
    """Return a saved configuration; missing keys have their defaults. ValueError if it is damaged or of another version."""
    seeds = SEED_LINE.findall(content)
    if len(seeds) != 1:
        return deepcopy(_parsed(content))
    config = deepcopy(_parsed(SEED_LINE.sub("seed: 0", content)))
    config.seed = int(seeds[0])
    return config


@lru_cache(256)  # parsing takes 17 ms; configurations of a study that differ in the seed alone are parsed once
def _parsed(content: str) -> Config:
    try:
        loaded = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.create(content)))
    except (OmegaConfBaseException, YAMLError, ValueError) as error:
        raise ValueError(str(error).splitlines()[0]) from error
    if not isinstance(loaded, Config):
        raise ValueError("it holds no settings")
    return loaded


def differences(saved: Config, config: Config) -> list[str]:
    """Return the settings that differ and may change a result, as ``key: saved value there, value in this command``."""
    keys = [key for key, entry in all_settings() if entry.metadata["result"]]
    pairs = [(key, value_of(saved, key), value_of(config, key)) for key in keys]
    return [f"{key}: {there} there, {now} in this command" for key, there, now in pairs if there != now]


class RunFolder:
    """The folder of one run: tells whether the run is finished, holds its lock, and writes its files."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.path = path_of(config)
        self.lock: FolderLock | None = None

    def finished(self) -> dict[str, Any] | None:
        """Return the summary of a finished run of this configuration, None if the run is not finished.

        Raises
        ------
        RunFolderError
            The folder holds a run of another configuration, or a file that is needed to know this is damaged or unreadable.
        """
        try:
            return self._finished()
        except OSError as error:
            place = error.filename or self.path
            raise RunFolderError(
                f"cannot read {place} ({error.strerror or error}); make it readable, or choose another output_root= or name="
            ) from error

    def _finished(self) -> dict[str, Any] | None:
        # before config.yaml, which a run writes first: another process may begin the run between the two looks
        left = [name for name in ("summary.json", "checkpoints", "metrics.csv") if (self.path / name).exists()]
        if not (self.path / "config.yaml").exists():
            if left:
                raise RunFolderError(
                    f"{self.path} holds {left[0]} of a run whose config.yaml is missing; restore it, or remove that folder"
                )
            return None
        different = differences(load_config(self.path), self.config)
        if different and self._nothing_to_lose():
            return None
        if different:
            raise OtherConfiguration(
                f"{self.path} holds a run of another configuration ({'; '.join(different)}); "
                f"give this one its own study with name=..., or remove that folder"
            )
        summary = load_summary(self.path)
        if summary:
            # version 0.1, whose summaries have no attempts, computed this digest in another way
            if "attempts" in summary and summary["configuration_sha256"] != config_digest(self.config):
                raise RunFolderError(
                    f"{self.path / 'summary.json'} is of another configuration than config.yaml beside it; remove that folder, "
                    f"or restore it from a copy"
                )
            verify(self.path, summary)
        return summary

    def _nothing_to_lose(self) -> bool:
        """Return whether all attempts failed before they saved anything: the next one may have other settings."""
        saved = ("checkpoints", "metrics.csv", WEIGHTS, "summary.json")
        return (self.path / "failure.json").is_file() and not any((self.path / name).exists() for name in saved)

    @contextmanager
    def locked(self, say: Callable[[str], None] = lambda line: None) -> Iterator[None]:
        """Context that holds the folder's lock (`FolderLock`); RunFolderBusy if another process holds it."""
        make_folder(self.path)
        with FolderLock(self.path, say) as self.lock:
            try:
                remove_leftovers(self.path)
                yield
            finally:
                self.lock = None

    def confirm(self) -> None:
        """Raise an error if this process has locked the folder and has lost it since (`FolderLock.confirm`)."""
        if self.lock is not None:
            self.lock.confirm()

    def begin(self, command: str) -> None:
        """Write configuration, command and the file of a dynamic that is not built in; remove an earlier ``failure.json``."""
        if self.config.dynamic_file:
            self.write(DYNAMIC_COPY, read_source(Path(self.config.dynamic_file), self.config.dynamic))
        self.write("config.yaml", to_yaml(self.config))
        self.write("command.txt", command + "\n")
        remove(self.path / "failure.json")

    def record_failure(self, error: Exception) -> None:
        """Write why this attempt failed, for the sweep that it belongs to, if the folder can be written."""
        code = error.exit_code if isinstance(error, UserError) else 1
        with suppress(UserError):
            self.write("failure.json", json.dumps({"reason": str(error), "exit_code": code}, indent=2) + "\n")

    def finish(self, summary: dict[str, Any]) -> None:
        """Write the summary with its own checksum, after everything else, since it makes the run a finished one."""
        self.write("summary.json", json.dumps({**summary, CHECKSUM_KEY: checksum_of(summary)}, indent=2) + "\n")

    def write(self, name: str, content: bytes | str) -> None:
        """Write a file atomically, if this process has not lost the folder (`confirm`)."""
        self.confirm()
        write_atomically(self.path / name, content)

    def write_rows(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Write a CSV file: a header and a line for each row, with all digits of each number."""
        columns = list(rows[-1]) if rows else []  # the first rows may be of an earlier version, which had fewer columns
        lines = [",".join(columns)] if rows else []
        lines += [",".join("" if row.get(name) is None else str(row[name]) for name in columns) for row in rows]
        self.write(name, "".join(line + "\n" for line in lines))


def with_present_names(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of ``metrics.csv``, perhaps of an earlier version, with the present names of its columns."""
    return {EARLIER_NAMES.get(name, name): value for name, value in row.items()}


def load_summary(folder: Path) -> dict[str, Any] | None:
    """Return the summary of a finished run, None for an unfinished one; RunFolderError if it is damaged."""
    path = folder / "summary.json"
    try:
        summary = json.loads(path.read_bytes())
        if not isinstance(summary, dict) or summary.get(CHECKSUM_KEY) != checksum_of(summary):
            raise ValueError(f"its entry {CHECKSUM_KEY} is not the checksum of its content")
        return summary
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunFolderError(
            f"cannot read {path} ({error.strerror or error}); make it readable, or leave it out"
        ) from error
    except ValueError as error:
        raise RunFolderError(f"{path} is damaged ({error}); restore it, or remove it to have it made again") from error


def checksum_of(summary: Mapping[str, Any]) -> str:
    """Return the SHA-256 of all entries of a summary but ``summary_sha256``, where it is kept."""
    entries = {key: value for key, value in summary.items() if key != CHECKSUM_KEY}
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()


def verify(folder: Path, summary: Mapping[str, Any], names: Sequence[str] = ()) -> None:
    """Compare files of a finished run with the checksums in its summary, all of them if ``names`` is empty.

    RunFolderError names the first file that is damaged or missing.
    """
    remedy = "restore it from a copy, or remove the run's folder to have it trained again"
    for name in names or summary["files_sha256"]:
        path, expected = folder / name, summary["files_sha256"].get(name)
        try:
            found = sha256(path)
        except FileNotFoundError:
            raise RunFolderError(f"{path} is missing; {remedy}") from None
        except OSError as error:
            raise RunFolderError(f"{path} cannot be read ({error.strerror}); {remedy}") from error
        if found != expected:
            raise RunFolderError(f"{path} is damaged: its SHA-256 is {found}, expected {expected}; {remedy}")


def config_digest(config: Config) -> str:
    """Return the SHA-256 of those settings that may change the result and differ from the schema's defaults.

    So a new setting changes no digest of an older run, if its default is what was done before.
    """
    settings = {
        key: value_of(config, key)
        for key, entry in all_settings()
        if entry.metadata["result"] and value_of(config, key) != _default(entry)
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _default(entry: Any) -> Any:
    return entry.default if entry.default_factory is NO_DEFAULT else entry.default_factory()
