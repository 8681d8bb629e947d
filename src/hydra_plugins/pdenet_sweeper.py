"""Hydra's basic sweeper without the runs that are done. Hydra finds sweepers in the package ``hydra_plugins`` only."""

from collections.abc import Sequence
from itertools import compress

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import Override

from pdenet_repro.sweeps import sweep


class MissingRuns(BasicSweeper):
    """Multiplies the choices as ``BasicSweeper`` does and launches those that ``sweep.prepare`` found to be missing."""

    @staticmethod
    def split_arguments(overrides: list[Override], max_batch_size: int | None) -> list[list[list[str]]]:
        """One batch with the words of each missing run."""
        (runs,) = BasicSweeper.split_arguments(overrides, None)
        return [list(compress(runs, sweep.to_launch))]

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Nothing: every run was composed and checked before."""
