"""Makes a pretrained network of a finished run: its weights in half precision, if they have the run's test accuracy.

The result is itself a run folder (`pdenet_repro.runs.pretrained`). `pdenet_repro.report.publish` copies the other files of
the run, except for large ones.
"""

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as save_tensors

from pdenet_repro.config.schema import Config, all_settings, value_of
from pdenet_repro.data import source
from pdenet_repro.data.batches import DeviceImages
from pdenet_repro.networks.pdenet import PDENet
from pdenet_repro.runs import provenance
from pdenet_repro.runs.folder import CHECKSUM_KEY, WEIGHTS, checksum_of, config_digest, load_summary
from pdenet_repro.runs.results import load_run
from pdenet_repro.system import device
from pdenet_repro.system.errors import InvalidConfig, RunFolderError
from pdenet_repro.system.files import sha256, write_atomically
from pdenet_repro.training.evaluation import accuracy, class_probabilities

COMMAND = "python -m pdenet_repro.export RUN"  # for the card: the typed command has paths of one machine
LARGEST_CHANGE = 0.001  # by which rounding may change the test accuracy: a tenth of a percentage point


@dataclass(frozen=True)
class RoundedNetwork:
    """A run's network with rounded weights: the content of its weights file, and its results on the test images."""

    run: Path
    config: Config
    weights: bytes
    original_sha256: str  # of the run's own weights file
    accuracy: float  # in the run's precision
    changed: int  # test images whose predicted class is not the run's
    accuracy_float32: float  # in float32, as a network of `load_pretrained` computes


def round_weights(
    run: Path, predicted: np.ndarray, data_root: str | None, say: Callable[[str], None]
) -> RoundedNetwork:
    """Round the weights of a finished run to half precision and evaluate them on all test images.

    ``predicted``: (test images,) the classes that the run predicted. ``data_root``: the folder of the images if it has moved.

    Raises
    ------
    RunFolderError
        The run is unfinished or damaged; it had other images; or rounding changes its test accuracy by more than 0.1 point.
    InvalidConfig
        The run's dynamic is in a user's own file, which the package does not have.
    DataError
        The data set is missing or damaged.
    """
    network, config = load_run(run)
    summary = load_summary(run)
    assert summary is not None  # load_run raises an error otherwise
    if config.dynamic_file:
        raise InvalidConfig(f"{run}: dynamic={config.dynamic} is a user's own file; must be a dynamic that is built in")
    config.data.root = data_root or config.data.root
    dataset = source.load(config.data, say)
    if dict(dataset.checksums) != summary["data_md5"]:
        raise RunFolderError(
            f"{run}: was trained on other images than those in {config.data.root}; give the folder of its images with --data-root"
        )
    state = half_precision(network)
    network.load_state_dict(state)
    where = device.set_up(config)
    network.to(where)
    images = DeviceImages(dataset.test.pixels, dataset.test.labels, where)

    def evaluated(precision: str) -> np.ndarray:
        say(f"evaluating the rounded weights on {len(images):,} test images in {precision}")
        return class_probabilities(network, images, config.evaluation.batch_size, device.autocast(where, precision))

    found = evaluated(config.precision)
    after, full = accuracy(found, dataset.test.labels), float(summary["test_accuracy"])
    if abs(after - full) > LARGEST_CHANGE:
        raise RunFolderError(
            f"{run}: with weights in half precision {after:.2%} of the test images are right, {full:.2%} in the run; "
            f"must be the same within {100 * LARGEST_CHANGE:g} points, so no pretrained network is made"
        )
    plain = found if config.precision == "float32" else evaluated("float32")
    return RoundedNetwork(
        run, config, save_tensors(state, {"config": config_digest(config)}), summary["files_sha256"][WEIGHTS], after,
        int((found.argmax(1) != predicted).sum()), accuracy(plain, dataset.test.labels),
    )  # fmt: skip


def half_precision(network: PDENet) -> dict[str, torch.Tensor]:
    """Return a network's state on the CPU, with weights in float16; running statistics, which may be large, keep their type."""
    weights = {name for name, _ in network.named_parameters()}
    return {
        name: (tensor.half() if name in weights else tensor).cpu().contiguous()
        for name, tensor in network.state_dict().items()
    }


def add_weights(folder: Path, network: RoundedNetwork) -> None:
    """Write weights and card into a folder with the run's other files, and the checksum of the weights into its summary."""
    write_atomically(folder / WEIGHTS, network.weights)
    summary = load_summary(folder)
    assert summary is not None  # it was just written
    summary["published"]["command"] = COMMAND
    summary["files_sha256"][WEIGHTS] = sha256(folder / WEIGHTS)
    summary[CHECKSUM_KEY] = checksum_of(summary)
    write_atomically(folder / "summary.json", json.dumps(summary, indent=2) + "\n")
    card = _card(folder.name, network, summary)
    write_atomically(folder / "README.md", as_markdown(card))
    write_atomically(folder / "card.json", json.dumps(card, indent=2) + "\n")  # last: `pretrained.names` looks for it


def _card(name: str, network: RoundedNetwork, summary: dict[str, Any]) -> dict[str, Any]:
    where = {key for key, entry in all_settings() if not entry.metadata["result"]}
    words = [word for word in shlex.split(summary["command"]) if word.partition("=")[0] not in where]
    return {
        "name": name,
        "dynamic": network.config.dynamic,
        "recipe": network.config.recipe,
        "data": network.config.data.name,
        **{
            key: summary[key] for key in ("data_md5", "train_images", "test_images", "class_names", "weights", "epochs")
        },
        "seed": network.config.seed,
        "last_batch": network.config.schedule.last_batch,
        "statistics": network.config.evaluation.statistics,
        "precision_of_the_run": network.config.precision,
        "accuracy_of_the_run": summary["test_accuracy"],
        "accuracy_half_precision": network.accuracy,
        "predictions_changed_by_rounding": network.changed,
        "accuracy_half_precision_in_float32": network.accuracy_float32,
        "largest_change_allowed": LARGEST_CHANGE,
        "command": shlex.join(words),
        **{key: summary[key] for key in ("git_commit", "finished", "versions", "configuration_sha256")},
        "weights_sha256": summary["files_sha256"][WEIGHTS],
        "weights_of_the_run_sha256": network.original_sha256,
        "configuration": {key: value_of(network.config, key) for key, _ in all_settings() if key not in where},
        "made_by": {"command": COMMAND, "git_commit": provenance.git_commit()},
    }


def _with_last_batch(card: dict[str, Any]) -> str:
    """Return the command of the run with ``schedule.last_batch``, whose default was another one in early versions."""
    word = f"schedule.last_batch={card['last_batch']}"
    return card["command"] if word in card["command"].split() else f"{card['command']} {word}"


def as_markdown(card: dict[str, Any]) -> str:
    """Return the page ``README.md`` of a pretrained network, made of its ``card.json`` alone."""
    sums = ", ".join(f"{name} {md5}" for name, md5 in card["data_md5"].items())
    images, run = card["test_images"], card["precision_of_the_run"]
    cause = "; arithmetic and rounded weights differ from the run's, and their effects were not measured one by one"
    cause = "" if run == "float32" else cause
    rows = {
        "data": f"{card['data']}, {card['train_images']:,} training images, {images:,} test images (MD5: {sums})",
        "recipe": f"`recipe={card['recipe']}`, {card['epochs']} epochs, seed {card['seed']}, "
        f"`schedule.last_batch={card['last_batch']}`",
        f"test accuracy of the run ({run})": f"{card['accuracy_of_the_run']:.2%}",
        f"test accuracy with weights in half precision ({run})": f"{card['accuracy_half_precision']:.2%}; the predicted class "
        f"of {card['predictions_changed_by_rounding']} of {images:,} images is another",
        "the same in float32 arithmetic, as it is loaded": f"{card['accuracy_half_precision_in_float32']:.2%}{cause}",
        "command of the run": f"`{card['command']}`; at a later commit `{_with_last_batch(card)}` makes the same training, "
        "but may round otherwise",
        "commit of the run": f"{card['git_commit']}",
        "SHA-256 of `weights.safetensors`": card["weights_sha256"],
        "SHA-256 of the run's own weights": card["weights_of_the_run_sha256"],
        "this folder was made by": f"`{card['made_by']['command']}`, commit {card['made_by']['git_commit']}",
    }
    table = "".join(f"| {term} | {words} |\n" for term, words in rows.items())
    return (
        f"# {card['name']}\n\nA {card['dynamic']} network of {card['weights']:,} weights. The card for programs is "
        f"[card.json](card.json).\n\n```python\nfrom pdenet_repro import load_pretrained\n\n"
        f'network = load_pretrained("{card["name"]}")\nprobabilities = network.probabilities(images)  '
        f"# images: raw pixels, a tensor (N, 3, 96, 96) of uint8\n```\n\n| | |\n|---|---|\n{table}"
    )
