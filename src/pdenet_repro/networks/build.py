"""Builds the network of a configuration."""

from pdenet_repro.config.schema import Config
from pdenet_repro.networks.pdenet import PDENet
from pdenet_repro.networks.user_dynamic import dynamic_class
from pdenet_repro.system.seeds import torch_seed


def build_network(config: Config) -> PDENet:
    """Return the network of a configuration with its initial weights, on the CPU.

    The file of a user's own dynamic is executed (`dynamic_class`).

    Raises
    ------
    InvalidConfig
        That file cannot be read or executed, or does not define the class.
    """
    network = PDENet(
        dynamic_class(config),
        config.network,
        standardization=config.data.standardization,
        batch_statistics=config.evaluation.statistics == "batch",
        seed=torch_seed(config.seed, "weights"),
    )
    return network.double() if config.precision == "float64" else network
