"""Pictures are drawn with settings of our own, whatever the shell, a notebook or a matplotlibrc says."""

import os
import subprocess
import sys

import matplotlib
import numpy as np
import pytest

from pdenet_repro.runs.tensorboard import confusion_figure, pixels
from pdenet_repro.system.pictures import matplotlib_defaults


def picture():
    with matplotlib_defaults():
        return pixels(confusion_figure(np.arange(4).reshape(2, 2), ["one", "two"]))


@pytest.mark.parametrize("settings", [{"text.usetex": True}, {"font.size": 30, "axes.facecolor": "red"}])
def test_settings_of_others_change_no_picture_and_return(settings):
    expected = picture()
    with matplotlib.rc_context(settings):
        assert np.array_equal(picture(), expected)
        assert all(matplotlib.rcParams[key] == value for key, value in settings.items())


@pytest.mark.parametrize(
    ("backend", "settings"),
    [
        ("module://matplotlib_inline.backend_inline", b"text.usetex: True\n"),
        ("no-such-backend", "font.family: données\n".encode("latin-1")),
    ],
)
def test_a_backend_that_is_not_here_and_an_unreadable_matplotlibrc_disturb_no_report(backend, settings, tmp_path):
    (tmp_path / "matplotlibrc").write_bytes(settings)
    code = (
        "import os; import pdenet_repro.report.figures; import numpy as np\n"
        "from pdenet_repro.runs.tensorboard import confusion_figure, pixels\n"
        "from pdenet_repro.system.pictures import matplotlib_defaults\n"
        "with matplotlib_defaults(): print(pixels(confusion_figure(np.eye(2), ['a', 'b'])).shape, os.environ['MPLBACKEND'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == backend
