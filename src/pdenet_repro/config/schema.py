"""The schema of configurations: every setting with its type, range and meaning.

A field without a default here must be set by a preset in ``configs/``; a default here holds where no chosen preset sets
another value. Ranges are checked by check.py. Neither module imports torch, so that a wrong value is reported at once.
"""

from collections.abc import Iterator
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import dataclass, field, fields, is_dataclass
from types import NoneType
from typing import Any, get_args, get_origin

from omegaconf import MISSING

from pdenet_repro.config import dynamics

IMAGE_SIDE = 96  # pixels, in STL-10 and in every data set of its layout
CLASSES = 10  # in each of these data sets
MOST_CHANNELS = 65_536  # a kernel between as many channels takes 150 GB
STATISTICS = ("running", "batch", "reestimated")  # which ones batch norms can use at test time
LONGEST_NAME = 200  # bytes of a folder's name; file systems allow 255
LONGEST_PATH = 3000  # bytes; systems allow 4,096, and paths of files in the run folder are longer


def setting(
    meaning: str,
    default: Any = MISSING,
    *,
    choices: tuple[str, ...] = (),
    takes: str = "",
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    result: bool = True,
) -> Any:
    """Return a dataclass field whose metadata hold the meaning of a setting and its allowed values.

    ``low`` and ``high`` are inclusive bounds, ``above`` and ``below`` exclusive ones; for a list they apply to each entry.
    ``takes`` describes the allowed values where bounds and choices cannot. ``result=False`` marks settings of where and how a
    run is computed: configurations that differ only in these count as equal. ``default=list`` or ``dict`` means an empty one.
    """
    metadata = {"meaning": meaning, "choices": choices, "takes": takes, "result": result}
    metadata |= {"low": low, "high": high, "above": above, "below": below}
    if isinstance(default, type):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass
class DataConfig:
    """The data set, the part of it to train on, and the preprocessing of each image."""

    name: str = setting("data set", choices=("stl10", "shapes"))
    root: str | None = setting("folder that holds stl10_binary/; null: the data set's own default", result=False)
    download: bool = setting("fetch missing STL-10 files (2.6 GB) first", False, result=False)
    fraction: float = setting("share of the training images of each class; nested subsets", 1.0, above=0, high=1)
    fold: int | None = setting("train on one of the ten official folds; null: on all", None, low=0, high=9)
    validation: float = setting("share of the training images held out for validation", low=0, below=1)
    standardization: str = setting(
        "over which values of an image the mean becomes 0 and the standard deviation 1",
        choices=("per_image_and_channel", "per_image", "none"),
    )
    augmentation: str = setting("flips and shifted crops of each training image", choices=("none", "flip_crop"))


@dataclass
class NetworkConfig:
    """The architecture of Section 4 of the paper, and the choices that its text leaves open."""

    widths: list[int] = setting("channels of the units, first to last", low=1, high=MOST_CHANNELS)
    last_width: int | None = setting(
        "channels after the last connector; null: as the last unit", None, low=1, high=MOST_CHANNELS
    )
    steps: int = setting("time steps of a unit", low=1, high=100_000)
    step_size: float = setting("time step h", above=0, high=1e30)
    activation: str = setting("activation function sigma", choices=("relu", "tanh"))
    norm: str = setting("norm inside the units", choices=("instance", "channel", "channel_rms", "none"))
    norm_eps: float | None = setting("eps of network.norm; null: 1e-3 for instance, 1e-4 otherwise", None, above=0)
    memory: str = setting(
        "how backpropagation gets the features of the time steps; auto: store, if half of the memory suffices",
        "auto",
        choices=("auto", "store", "recompute", "reverse"),
        result=False,
    )
    connector_norm: str = setting(
        "norm of the opening layer and the connectors",
        choices=("batch", "batch_per_pixel", "instance", "channel", "channel_rms", "none"),
    )
    initialization: str = setting(
        "initial kernels: Glorot's deviation, truncated, or deviation 0.1, clipped",
        choices=("glorot", "normal_clipped"),
    )
    initial_draw: str = setting(
        "initial weights of a unit's time steps: one draw for all of them, or a draw for each",
        "once",
        choices=("once", "each_step"),
    )
    initial_norms: str = setting(
        "initial scales and shifts of all norms: 1 and 0, or drawn as the classifier's weights are",
        "ones",
        choices=("ones", "drawn"),
    )
    hamiltonian_order: str = setting(
        "which half of the channels a Hamiltonian step moves first; other dynamics ignore it",
        "y_first",
        choices=("y_first", "z_first"),
    )
    leapfrog_start: str = setting(
        "features before the first second-order step, Y_{-1}: those of the start (at rest), or 0; other dynamics ignore it",
        "rest",
        choices=("rest", "zero"),
    )


@dataclass
class ScheduleConfig:
    """The number of epochs, the batches and the learning rate."""

    epochs: int = setting("passes over the training images", low=1)
    batch_size: int = setting("images in a training step", low=1)
    last_batch: str = setting(
        "whether the images of an epoch that fill no whole batch are a smaller batch or are left out",
        "drop",
        choices=("keep", "drop"),
    )
    learning_rate: float = setting("learning rate of the first epoch", above=0, high=1e30)
    milestones: list[int] = setting("epochs after which the rate is multiplied by factor", low=1)
    factor: float = setting("factor of the learning rate after each milestone", above=0, high=1)

    def steps_per_epoch(self, images: int) -> int:
        """Return the number of batches in an epoch over ``images`` training images."""
        return -(-images // self.batch_size) if self.last_batch == "keep" else images // self.batch_size

    def images_per_epoch(self, images: int) -> int:
        """Return how many of ``images`` training images an epoch uses."""
        return min(images, self.steps_per_epoch(images) * self.batch_size)


@dataclass
class ObjectiveConfig:
    """The objective: mean cross-entropy (3) plus the regulariser (11)."""

    loss_factor: float = setting("factor of the mean cross-entropy; (3) is printed with 0.5", 1.0, above=0, high=1e30)
    smoothness: str = setting("seminorm of the units' weights in time", choices=("tv", "h1", "none"))
    alpha1: float = setting("weight of the smoothness term", low=0, high=1e30)
    eps: float = setting("eps inside the root of the total variation", above=0)
    alpha2: float = setting("weight of the decay term", low=0, high=1e30)
    alpha2_classifier: float | None = setting("alpha2 of the classifier; null: alpha2", None, low=0, high=1e30)
    decay: str = setting("which weights are in the decay term", choices=("all", "no_connector_norms", "no_norms"))
    quadrature: str = setting(
        "how both terms sum over a unit's time steps: plain sums, or integrals, which are sums times h",
        "sum",
        choices=("sum", "integral"),
    )


@dataclass
class OptimizerConfig:
    """SGD with heavy-ball momentum, projected onto a box."""

    momentum: float = setting("share of the previous update that each update keeps", low=0, below=1)
    bound: float | None = setting("weights stay in [-bound, bound]; null: no projection", above=0)
    bounded: str = setting(
        "weights that are projected: all, or only the kernels of convolutions", "all", choices=("all", "kernels")
    )
    scale_rate_in_units: bool = setting(
        "divide the learning rate of the units' weights by h: steps along the gradient in L^2(0, T)", False
    )


@dataclass
class EvaluationConfig:
    """When and how the test images are evaluated, and which iterate is reported."""

    every: int = setting("epochs between test evaluations; 0: only at the end", 0, low=0, result=False)
    statistics: str = setting(
        "statistics of batch norms at test time: running means of training, those of the batch, or new ones of training images",
        "running",
        choices=STATISTICS,
    )
    iterate: str = setting(
        "weights to report: of the last epoch, or the best on the validation images", choices=("last", "best")
    )
    batch_size: int = setting("images that are evaluated at a time", 250, low=1)


@dataclass
class CheckpointConfig:
    """How often checkpoints are written."""

    seconds: float = setting("seconds between two checkpoints; 0: one at every step", 60.0, low=0, result=False)


@dataclass
class Config:
    """The configuration of one run."""

    dynamic: str = setting("discretised differential equation of the units", takes=dynamics.ALLOWED)
    recipe: str = setting("preset of the settings that the command does not give")
    data: DataConfig = field(default_factory=DataConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    dynamic_file: str | None = setting("file of dynamic=FILE.py:CLASS; set by the program", None, result=False)
    dynamic_sha256: str | None = setting("SHA-256 of dynamic_file; set by the program", None)
    seed: int = setting("seed of initial weights, subset, shuffling and augmentation", 0, low=0, high=2**32 - 1)
    device: str = setting("where to compute: auto, cpu, cuda or cuda:N", "auto", result=False)
    precision: str = setting(
        "precision of the arithmetic; weights are float32, or float64 with float64 (slow; for checks)",
        "float32",
        choices=("float32", "tf32", "bfloat16", "float64"),
    )
    performance: str = setting(
        "whether training and evaluation are compiled; auto: if that saves time",
        "auto",
        choices=("auto", "eager", "compile"),
        result=False,
    )
    resume: str = setting(
        "when code, versions, processor or threads have changed since a run was stopped: warn and continue, or refuse",
        "warn",
        choices=("warn", "exact"),
        result=False,
    )
    deterministic: bool = setting("use only bit-reproducible kernels on the GPU (those of the CPU always are)", False)
    name: str = setting("the study the run belongs to: a folder below output_root", result=False)
    variation: str = setting(
        "what sets the run apart from those it is compared with in its study: an ending of its folder's name; empty: nothing",
        "",
        result=False,
    )
    output_root: str = setting("folder for all studies", "outputs", result=False)

    @property
    def short_name(self) -> str:
        """The name of the run within its study, for messages."""
        fold = "" if self.data.fold is None else f"fold {self.data.fold}, "
        variation = f"{self.variation}, " if self.variation else ""
        return f"{self.dynamic}, {variation}{fold}fraction {self.data.fraction:g}, seed {self.seed}"


def all_settings(schema: Any = Config, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every setting as (dotted key, dataclass field), in the schema's order; ``schema``: a class or an instance."""
    for entry in fields(schema):
        if entry.default_factory is not NO_DEFAULT and is_dataclass(entry.default_factory):
            yield from all_settings(entry.default_factory, f"{prefix}{entry.name}.")
        else:
            yield prefix + entry.name, entry


def value_of(config: Config, key: str) -> Any:
    """Return the value of a dotted key."""
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    return value


def batch_dependence(config: Config) -> str:
    """Return the setting by which an image's scores at test time depend on the others of its batch; empty if they do not."""
    if config.network.connector_norm == "batch_per_pixel":
        return "network.connector_norm=batch_per_pixel"
    batch_norms = config.network.connector_norm == "batch"
    return "evaluation.statistics=batch" if batch_norms and config.evaluation.statistics == "batch" else ""


def allowed(entry: Any) -> str:
    """Return the allowed values of a setting in words, for messages and ``--help``."""
    if entry.metadata["takes"]:
        return str(entry.metadata["takes"])
    if entry.metadata["choices"]:
        return "one of " + ", ".join(entry.metadata["choices"])
    types = get_args(entry.type) or (entry.type,)  # int | None, list[int], or a plain type
    kinds = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    if get_origin(entry.type) is dict:
        return "entries like {key: value}"
    kind = kinds[types[0]]
    if get_origin(entry.type) is list:
        kind = f"a list like [1,2], each {kind}"
    words = {"low": "of at least", "above": "above", "high": "at most", "below": "below"}
    bounds = [f"{word} {entry.metadata[k]:.10g}" for k, word in words.items() if entry.metadata[k] is not None]
    return " ".join([kind, *([" and ".join(bounds)] if bounds else [])]) + (" or null" if NoneType in types else "")
