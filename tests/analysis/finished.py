"""A finished run as the analyses read it, its weights drawn instead of trained."""

import json

import torch
from safetensors.torch import save

from pdenet_repro import build_network, compose
from pdenet_repro.run_folder import RunFolder
from pdenet_repro.storage import sha256


def finished(root, *words):
    """The folder of a run of the tiny network; every unit has weights that differ from step to step."""
    config = compose("data=shapes", "network=tiny", "schedule=short", f"output_root={root}", "name=study", *words)
    network = build_network(config)
    generator = torch.Generator().manual_seed(1)
    for parameter in network.units.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    folder = RunFolder(config)
    folder.path.mkdir(parents=True)
    folder.begin("python -m pdenet_repro made by hand")
    folder.write_rows("metrics.csv", [{"epoch": 1, "test_accuracy": 0.1}])
    folder.write("weights.safetensors", save(network.state_dict()))
    files = {"weights.safetensors": sha256(folder.path / "weights.safetensors")}
    summary = {"test_accuracy": 0.1, "train_images": 10, "files_sha256": files}
    folder.write("summary.json", json.dumps(summary))
    return folder.path
