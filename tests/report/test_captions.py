"""What captions and the list of origins say of the runs."""

import json

from pdenet_repro.report.captions import MOST_COMMANDS, origin
from pdenet_repro.report.runs import collect


def commands(folder):
    (found,) = collect(folder, weights=False).values()
    return [(term, words) for term, words in origin(found.runs, found.commands) if "command" in term]


def test_each_command_of_the_runs_is_listed_once_with_the_number_of_its_runs(maker, tmp_path):
    for seed in range(3):
        command = "python -m pdenet_repro -m seed=1,2" if seed else "python -m pdenet_repro seed=0"
        maker("dynamic=parabolic", right=range(9), seed=seed, extra={"command": command})
    assert commands(tmp_path / "made") == [
        ("command of 2 runs", "python -m pdenet_repro -m seed=1,2"),
        ("command of 1 run", "python -m pdenet_repro seed=0"),
    ]


def test_the_command_of_the_plan_is_listed_if_no_run_has_it(maker, tmp_path):
    maker("dynamic=parabolic", right=range(9), extra={"command": "seed=0"})
    for command, listed in (("seed=0", []), ("seed=0,1", [("command of the plan", "seed=0,1")])):
        (tmp_path / "made" / "plan.json").write_text(json.dumps({"command": command, "runs": []}))
        assert commands(tmp_path / "made") == [("command of 1 run", "seed=0"), *listed]


def test_of_many_commands_the_first_are_listed(maker, tmp_path):
    for seed in range(MOST_COMMANDS + 2):
        maker("dynamic=parabolic", right=range(9), seed=seed, extra={"command": f"seed={seed}"})
    *listed, further = commands(tmp_path / "made")
    assert listed == [("command of 1 run", f"seed={seed}") for seed in range(MOST_COMMANDS)]
    assert further == ("further commands", "2 more in runs.csv")
