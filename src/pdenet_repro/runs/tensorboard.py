"""Writes TensorBoard events of a run: scalars, settings, confusion matrix, kernels."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pdenet_repro.config.schema import Config, all_settings, value_of
from pdenet_repro.networks.layers import is_kernel
from pdenet_repro.runs.confusion import MANY_CLASSES, draw_confusion_matrix
from pdenet_repro.system.errors import first_line
from pdenet_repro.system.pictures import load_matplotlib, matplotlib_defaults

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pdenet_repro.networks.pdenet import PDENet


# Charts in which TensorBoard, started on a study's folder, shows all its runs, a line for each.
CHARTS = {
    "study": {
        "test accuracy": ["Multiline", ["accuracy/test"]],
        "running training accuracy": ["Multiline", ["accuracy/running_train"]],
        "objective": ["Multiline", ["objective/loss"]],
    }
}


class Events:
    """Writes a run's events into ``folder``. No result depends on them, so a failure calls ``warn`` and ends no training.

    TensorBoard discards what an earlier attempt wrote from ``first_epoch`` on.
    """

    def __init__(self, folder: Path, first_epoch: int, warn: Callable[[str], None]) -> None:
        self.folder, self.warn = folder, warn
        self.writer: Any = None  # None after a failure too, since TensorBoard's writer thread has then ended
        threading.excepthook = _ignore_failed_writes
        with self._warning_of_failures():
            load_matplotlib()
            from torch.utils.tensorboard import SummaryWriter  # takes seconds to import

            self.writer = SummaryWriter(str(folder), purge_step=first_epoch)
            self.writer.add_custom_scalars(CHARTS)

    def epoch(self, row: dict[str, Any], timing: dict[str, Any]) -> None:
        """Write the numbers of an epoch, from its rows of ``metrics.csv`` and ``timings.csv``."""
        with self._warning_of_failures():
            for name, value in {**row, **timing}.items() if self.writer else ():
                if name != "epoch" and value is not None:
                    self.writer.add_scalar(_group(name), value, row["epoch"])

    def result(self, config: Config, summary: dict[str, Any], matrix: np.ndarray, network: "PDENet") -> None:
        """Write the settings with the final accuracies, the confusion matrix and the kernels of each unit."""
        with self._warning_of_failures():
            if self.writer:
                _write_result(self.writer, config, summary, matrix, network)

    def close(self) -> None:
        """Close the file; all events are flushed already."""
        with suppress(Exception):
            self.writer.close()
        threading.excepthook = threading.__excepthook__

    @contextmanager
    def _warning_of_failures(self) -> Iterator[None]:
        try:
            yield
            if self.writer:
                self.writer.flush()
        except Exception as error:
            self.writer = None
            self.warn(f"no more events for TensorBoard are written into {self.folder}: {first_line(error)}")


@matplotlib_defaults()
def _write_result(writer: Any, config: Config, summary: dict[str, Any], matrix: np.ndarray, network: "PDENet") -> None:
    from torch.utils.tensorboard.summary import hparams

    settings = {key: value_of(config, key) for key, entry in all_settings() if entry.metadata["result"]}
    plain = {k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in settings.items()}
    metrics = {f"result/{k}": summary[k] for k in ("test_accuracy", "train_accuracy")}
    # Written as summaries of this run: add_hparams would show them as a second run.
    for part in hparams(plain, metrics):
        writer._get_file_writer().add_summary(part)
    epoch = config.schedule.epochs
    for name, value in metrics.items():
        writer.add_scalar(name, value, epoch)
    picture = pixels(confusion_figure(matrix, summary["class_names"]))
    writer.add_image("confusion matrix", picture, epoch, dataformats="HWC")
    for name, parameter in network.named_parameters():
        if is_kernel(name):
            kernel = parameter.detach().float().cpu().numpy()
            steps = kernel if kernel.ndim == 5 else kernel[None]
            writer.add_image(f"kernels/{name}", kernel_picture(steps), epoch, dataformats="HW")


def _ignore_failed_writes(failure: threading.ExceptHookArgs) -> None:
    """Print no traceback of a failed write in TensorBoard's thread: the calling thread gets the same error, and warns."""
    if not isinstance(failure.exc_value, OSError):
        threading.__excepthook__(failure)


def _group(name: str) -> str:
    if "accuracy" in name:
        return f"accuracy/{name.replace('_accuracy', '')}"
    if name in ("loss", "data_loss", "smoothness", "decay"):
        return f"objective/{name}"
    return f"{'speed' if name in ('seconds', 'images_per_second', 'peak_memory_mib') else 'weights'}/{name}"


def kernel_picture(kernel: np.ndarray, channels: int = 8) -> np.ndarray:
    """Return kernels (steps, C_out, C_in, k, k) as one picture (H, W) of grey values from 0 to 1, with a block for each step.

    It has the first ``channels`` inputs and outputs, and 4x4 pixels for each weight; a weight of 0 is 0.5.
    """
    steps, outputs, inputs, height, width = kernel.shape
    rows, columns = min(outputs, channels), min(inputs, channels)
    tiles = np.full((rows, height + 1, steps, columns, width + 1), 0.0)
    largest = max(float(np.abs(kernel).max()), 1e-12)
    shown = kernel[:, :rows, :columns] / largest
    tiles[:, :height, :, :, :width] = shown.transpose(1, 3, 0, 2, 4)
    picture = tiles.reshape(rows * (height + 1), steps * columns * (width + 1))
    return np.kron(0.5 + picture / 2, np.ones((4, 4)))


def confusion_figure(matrix: np.ndarray, class_names: list[str]) -> "Figure":
    """Draw counts (classes, classes) as a figure: its rows are the true classes, its columns the predicted ones."""
    from matplotlib.figure import Figure  # matplotlib_defaults, around the caller, has loaded matplotlib

    figure = Figure(figsize=(6.5, 6), layout="constrained")
    axes = figure.add_subplot()
    draw_confusion_matrix(axes, matrix, int(matrix.max()), fontsize=8)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if len(class_names) > MANY_CLASSES:
        return figure
    axes.set_xticks(range(len(class_names)), class_names, rotation=45, ha="right")
    axes.set_yticks(range(len(class_names)), class_names)
    return figure


def pixels(figure: "Figure") -> np.ndarray:
    """Return a figure's pixels (H, W, 3) uint8, drawn without ``pyplot``, which would load the backend of a notebook."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[:, :, :3]  # type: ignore[no-untyped-call]
