"""Define at which strengths corruptions and attacks are measured, and the option ``--strengths`` that changes them."""

import argparse
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pdenet_repro.analysis.robustness.attacks import ATTACK_NORMS
from pdenet_repro.analysis.robustness.corruptions import CORRUPTIONS
from pdenet_repro.config.schema import IMAGE_SIDE

Strengths = tuple[float, ...]
DEFAULTS: dict[str, Strengths] = {name: each.strengths for name, each in CORRUPTIONS.items()} | {
    "linf": (1, 4, 8, 16, 32),  # budgets, in values of 255
    "l2": (100, 400, 800, 1600, 3200),
}
KNOWN = "; ".join(f"{name}={','.join(f'{value:g}' for value in values)}" for name, values in DEFAULTS.items())


@dataclass(frozen=True)
class Panel:
    """A corruption or attack and its strengths, the first of which changes nothing.

    ``control`` names, for an attack, the random perturbation of the same size.
    """

    heading: str
    unit: str
    strengths: Strengths
    control: str = ""


def panels_of(given: argparse.Namespace) -> dict[str, Panel]:
    """Return the corruptions and attacks that are measured, by their names in the table."""
    chosen = DEFAULTS | given.strengths
    panels = {name: Panel(each.heading, each.unit, (each.clean, *chosen[name])) for name, each in CORRUPTIONS.items()}
    for name, attack_norm in ATTACK_NORMS.items():
        for kind, steps in (("one-step", "one step"), ("iterated", f"{given.steps} steps")):
            heading = f"attack, {attack_norm.heading}: {steps}"
            panels[f"{name} {kind}"] = Panel(heading, attack_norm.unit, (0, *chosen[name]), f"{name} random")
    return panels


class AddStrengths(argparse.Action):
    """Add ``NAME=A,B,...`` to the option's dictionary of strengths; refuse unsuitable strengths and a repeated name."""

    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        """Parse ``values``, the value of the option, and store it in the namespace."""
        before = getattr(namespace, self.dest)
        name, found = _strengths(self, values)
        if name in before:
            raise argparse.ArgumentError(self, f"{values}: names {name} twice; give its strengths once")
        setattr(namespace, self.dest, before | {name: found})


def _strengths(action: argparse.Action, word: str) -> tuple[str, Strengths]:
    name, _, values = word.partition("=")
    if name not in DEFAULTS:
        raise argparse.ArgumentError(action, f"{word}: must be one of {', '.join(DEFAULTS)}, then = and strengths")
    try:
        found = tuple(float(value) for value in values.split(","))
    except ValueError:
        found = ()
    bounds = {"contrast": (1, 1000), "occlusion": (0, IMAGE_SIDE), "blur": (0, 15)}  # mirrored edges limit blur
    least, most = bounds.get(name, (0, 1e6))
    if not found or not all(a < b for a, b in pairwise(found)) or not least < found[0] or not found[-1] <= most:
        raise argparse.ArgumentError(
            action,
            f"{word}: strengths of {name} must be increasing numbers above {least} and at most {most:g}, like {name}=2,4,8",
        )
    return name, found
