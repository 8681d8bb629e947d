"""The texts of ``--help`` and of the command without arguments, made from the presets and the schema."""

import os
import textwrap
from pathlib import Path
from typing import Any

from pdenet_repro.config import presets
from pdenet_repro.config.compose import compose
from pdenet_repro.config.launchers import LAUNCHERS, Serial
from pdenet_repro.config.schema import all_settings, allowed
from pdenet_repro.data import stl10
from pdenet_repro.runs.folder import path_of

EXAMPLES = """\
  python -m pdenet_repro data=shapes network=small schedule=short
      a first result in minutes, on the built-in images
  python -m pdenet_repro dynamic=hamiltonian data.root=~/data data.fraction=0.1
      one cell of the paper's Figure 2: 500 training images of STL-10
  python -m pdenet_repro -m study=fig2 data.root=~/data
      the 30 runs of Figure 2, as far as they are missing, then figures and report; --plan shows them first
  python -m pdenet_repro -m dynamic=parabolic,hamiltonian,second_order data.fraction=0.1,0.2,0.3
      a sweep of your own: every combination, each in its own run folder, then figures and report
  python -m pdenet_repro -m data=shapes network.steps=3,6,12 network.step_size=1,0.5,0.25 \\
      pair=network.steps,network.step_size name='steps-${network.steps}'
      three runs instead of nine: the paired keys take their first values together, then their second ones"""

EXIT_CODES = (
    "0 done; 1 runs of a sweep are missing, for whatever reason; 2 the command, data or a folder is wrong; 3 a loss, "
    "gradient or weight is not finite; 4 a file cannot be written; 5 the run folder is in use; 6 out of memory; 75 stopped by "
    "a signal and saved, the same command continues; 128 and the signal's number (130, 143): stopped while nothing was trained"
)
COLUMN = 33  # where the meanings begin: behind "  launcher.additional_parameters ", the longest key


def help_text() -> str:
    """Return the text of ``--help``: usage, presets, every setting with its meaning and range, examples, exit codes."""
    groups = "\n".join(f"  {group + '=':11}{' | '.join(presets.choices(group))}" for group in presets.GROUPS)
    settings = "\n".join(_line(key, entry) for key, entry in all_settings() if key not in ("recipe", "data.name"))
    launchers = "\n".join(_launcher(name) for name in LAUNCHERS)
    codes = textwrap.fill(EXIT_CODES, 110, initial_indent="  ", subsequent_indent="  ")
    return f"""\
Train one of the networks of Ruthotto & Haber, "Deep Neural Networks motivated by Partial Differential Equations".

usage: python -m pdenet_repro [preset=choice ...] [key=value ...] [-m] [--plan | --cfg job]

presets
{groups}

keys
{settings}

keys of a sweep
  {"pair=KEY,KEY":{COLUMN - 2}}vary these keys together: their first values, then their second ones, and so on
{launchers}

options
  -m         a sweep: a study, or several values with commas between them
  --plan     list the runs, done and to do, and how long they will take; start nothing
  --cfg job  print the composed configuration and stop
  --version  print the version and stop

examples
{EXAMPLES}

exit codes
{codes}
"""


def _launcher(name: str) -> str:
    """Return the help entry of a launcher: its meaning and settings; those that all have are listed at the serial one only."""
    launcher = LAUNCHERS[name]
    title = _entry(f"launcher={name}", str(launcher.__doc__))
    own = [(key, entry) for key, entry in all_settings(launcher) if launcher is Serial or not hasattr(Serial(), key)]
    return "\n".join([title, *(_line(f"launcher.{key}", entry) for key, entry in own)])


def _line(key: str, entry: Any) -> str:
    takes = allowed(entry)
    text = entry.metadata["meaning"] + ("" if takes.startswith("text") else f" ({takes})")
    return _entry(key, text)


def _entry(key: str, text: str) -> str:
    return textwrap.fill(text, 118, initial_indent=f"  {key:{COLUMN - 2}}", subsequent_indent=" " * COLUMN)


def first_steps() -> str:
    """Return what the command without arguments prints: what it would train, whether the data exist, what to type next."""
    config = compose()
    data, schedule = config.data, config.schedule
    plan = (
        f"This would train the {config.dynamic} network of recipe {config.recipe} (units of {config.network.widths} channels) "
        f"on all of {data.name} for {schedule.epochs} epochs, into {path_of(config)}."
    )
    folder = stl10.stl10_folder(Path(data.root or "data").expanduser())
    missing = [name for name in stl10.LABELLED if not os.access(folder / name, os.R_OK)]
    if missing:
        state = (
            f"Its images are missing: {folder} lacks {', '.join(missing)}, or you may not read these. To download them "
            f"(2.6 GB, once):\n"
            f"  python -m pdenet_repro data.root={data.root} data.download=true\n"
            f"If they are elsewhere, add data.root=FOLDER, or set PDENET_DATA_ROOT."
        )
    else:
        state = f"Its images are in {folder}. To start:\n  python -m pdenet_repro dynamic={config.dynamic}"
    return f"""\
{textwrap.fill(plan, 110)}

{state}

To try it in minutes without any download, on the built-in images:
  python -m pdenet_repro data=shapes network=small schedule=short

All settings: python -m pdenet_repro --help
"""
