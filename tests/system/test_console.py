"""What a person sees of a run."""

import os
import subprocess
import sys


def test_a_wrong_setting_of_progress_bars_is_ignored():
    program = "from pdenet_repro.system import console; console.Log().say('a line')"
    environment = os.environ | {"TQDM_MININTERVAL": "x"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "a line\n", "")
