"""Load the networks that an analysis measures (its subjects), from finished runs or at their initial weights."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pdenet_repro.config.check import check
from pdenet_repro.config.compose import compose, compose_sweep
from pdenet_repro.config.dynamics import facts_of
from pdenet_repro.config.schema import Config, value_of
from pdenet_repro.data import source
from pdenet_repro.data.stl10 import Dataset
from pdenet_repro.networks.build import build_network
from pdenet_repro.networks.pdenet import PDENet
from pdenet_repro.report.groups import VARIATION, distinguishing
from pdenet_repro.report.run import RESULT_KEYS
from pdenet_repro.report.runs import collect
from pdenet_repro.report.settings import format_value
from pdenet_repro.runs import pretrained
from pdenet_repro.runs.folder import has_standard_path
from pdenet_repro.runs.results import load_run
from pdenet_repro.system.errors import InvalidConfig, RunFolderError
from pdenet_repro.system.seeds import stream


@dataclass(frozen=True, eq=False)
class Subject:
    """A network that is analysed, in evaluation mode, with its configuration, its run folder and its data set."""

    config: Config
    network: PDENet
    folder: Path | None  # of its run; None if the network has its initial weights
    distinction: str = ""  # is appended to the name; empty if no other network has the same one

    @property
    def dynamic(self) -> str:
        """The name of the dynamic, as in the configuration."""
        return self.config.dynamic

    @property
    def name(self) -> str:
        """The name in legends and tables: the label of the dynamic, ``initial weights`` unless trained, the distinction."""
        return facts_of(self.dynamic).label + ("" if self.folder else ", initial weights") + self.distinction

    @property
    def columns(self) -> dict[str, Any]:
        """The columns with which a row of a table begins."""
        return {"network": self.name, "dynamic": self.dynamic}

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.network.parameters()).device

    @cached_property
    def dataset(self) -> Dataset:
        """The data set of the run, with verified files; raises DataError if they cannot be read."""
        return source.load(self.config.data, print)

    def test_images(self, count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Draw ``count`` test images (count, 3, 96, 96) uint8 and their labels (count,), the same for every network.

        Raises
        ------
        InvalidConfig
            ``count`` is larger than the number of test images.
        """
        pixels, labels = self.dataset.test.pixels, self.dataset.test.labels
        if not 1 <= count <= len(labels):
            raise InvalidConfig(
                f"--images {count}: must be 1 to {len(labels)}, the number of test images of {self.config.data.name}"
            )
        chosen = stream(seed, "analysis").permutation(len(labels))[:count]
        return torch.from_numpy(pixels[chosen]).to(self.device), torch.from_numpy(labels[chosen]).to(self.device)


def subjects(arguments: Sequence[str], device: torch.device, data_root: str | None) -> list[Subject]:
    """Load the networks that the arguments of a command name: run folders, studies, pretrained networks, or settings.

    Of a study, or a folder of studies, one run of each dynamic is loaded (`of_study`). Arguments with ``=`` are settings as in
    the command of a run, with commas between several values (``dynamic=parabolic,resnet``); they make networks at initial
    weights.

    Raises
    ------
    RunFolderError
        A folder has no finished run or is damaged, or a network has weights that are not finite.
    InvalidConfig
        A setting is not allowed.
    """
    settings = [argument for argument in arguments if "=" in argument and not Path(argument).exists()]
    folders = [_folder(argument) for argument in arguments if argument not in settings]
    found = [subject for folder in folders for subject in _trained(folder, data_root)]
    if settings:
        for config in compose_sweep(settings):
            check(config)
            config.data.root = data_root or config.data.root
            found.append(Subject(config, build_network(config).eval(), None))
    for subject in found:
        subject.network.to(device)
    return _with_unique_names(found)


def _folder(argument: str) -> Path:
    try:
        return pretrained.resolve(argument).expanduser()
    except RuntimeError:
        raise RunFolderError(f"{argument}: there is no such user; must be a run, a study or settings with =") from None


def _with_unique_names(found: Sequence[Subject]) -> list[Subject]:
    """Append to each name that several networks have what distinguishes them."""
    distinctions: dict[Subject, str] = {}
    for name in {subject.name for subject in found}:
        same = [subject for subject in found if subject.name == name]
        distinctions |= zip(same, _distinctions(same), strict=True)
    return [replace(subject, distinction=distinctions[subject]) for subject in found]


def _distinctions(same: Sequence[Subject]) -> list[str]:
    """Return what distinguishes networks of one name: few settings or, if the settings are equal, run folders or numbers.

    A network by itself is distinguished by nothing.
    """
    keys = (VARIATION, "data.fraction", "seed", *RESULT_KEYS)
    settings = [{key: format_value(value_of(subject.config, key)) for key in keys} for subject in same]
    naming = distinguishing(settings, keys, [VARIATION])
    named = [[values[key] if key == VARIATION else f"{key}={values[key]}" for key in naming] for values in settings]
    if len(set(map(tuple, named))) == len(same):
        return ["".join(f", {part}" for part in parts if part) for parts in named]
    folders = [subject.folder.resolve() for subject in same if subject.folder]
    if len(set(folders)) == len(same):
        return [f", {folder.relative_to(os.path.commonpath(folders))}" for folder in folders]
    return [f" {number}" for number in range(1, len(same) + 1)]


def of_study(folder: Path) -> tuple[list[Path], list[str]]:
    """Choose the runs that are analysed for a study: of each dynamic the one on the most images with the lowest seed.

    ``folder`` may also hold several studies. The second list has a sentence on each damaged run.

    Raises
    ------
    RunFolderError
        No run is finished and undamaged.
    """
    studies = list(collect(folder).values())
    damaged = [each.reason for study in studies for each in study.missing if each.damaged]
    chosen = [run.folder for study in studies for run in study.largest()]
    if not chosen and damaged:
        raise RunFolderError(f"{folder}: none of its runs can be used: {damaged[0]}")
    if not chosen:
        raise RunFolderError(f"{folder}: none of its runs is finished; finish one, or name another study")
    return chosen, damaged


def study_of(subject: Subject) -> Path | None:
    """Return the folder of the study that contains a network's run; None without a run or for one copied elsewhere."""
    if subject.folder is None:
        return None
    folder = subject.folder.resolve()
    return folder.parents[2] if has_standard_path(folder, subject.config) else None


def _trained(folder: Path, data_root: str | None) -> list[Subject]:
    chosen, damaged = ([folder], []) if (folder / "config.yaml").exists() else of_study(folder)
    for reason in damaged:
        print(f"left out: {reason}")
    found = []
    for path in chosen:
        network, config = load_run(path)
        if path.parent == pretrained.folder():  # the data root in its configuration is of another machine
            config.data.root = compose(f"data={config.data.name}").data.root
        if not all(weight.isfinite().all() for weight in network.state_dict().values()):
            raise RunFolderError(f"{path}: its weights are not all finite numbers; train it again, or leave it out")
        config.data.root = data_root or config.data.root
        found.append(Subject(config, network, path))
    return found
