"""Presets: the table of docs/spec.md, section 8 row by row, what wins over what, and the keys a user may rely on."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import hydra
import pytest

from pdenet_repro import compose
from pdenet_repro.cli.help import help_text
from pdenet_repro.config import presets
from pdenet_repro.config.check import check
from pdenet_repro.config.compose import compose_sweep
from pdenet_repro.config.launchers import LAUNCHERS, launcher_of
from pdenet_repro.config.schema import all_settings, value_of
from pdenet_repro.system.errors import InvalidConfig

TABLE = {  # docs/spec.md, section 8, one column each
    "paper": {
        "network.widths": [16, 64, 128, 256], "network.steps": 3, "network.step_size": 1.0,
        "network.norm": "instance", "network.connector_norm": "batch", "network.initialization": "glorot",
        "data.standardization": "per_image_and_channel", "data.augmentation": "none", "data.validation": 0.0,
        "schedule.batch_size": 128, "schedule.learning_rate": 0.1, "schedule.factor": 0.1,
        "schedule.milestones": [60, 80, 100], "schedule.epochs": 120,
        "objective.smoothness": "tv", "objective.alpha1": 3e-4, "objective.alpha2": 5e-4, "objective.eps": 1e-3,
        "objective.decay": "all", "evaluation.iterate": "last",
    },
    "authors": {
        "network.widths": [16, 64, 128, 256], "network.steps": 3, "network.step_size": 1.0,
        "network.norm": "channel", "network.connector_norm": "batch_per_pixel",
        "data.standardization": "per_image_and_channel", "data.augmentation": "none", "data.validation": 0.0,
        "schedule.batch_size": 125, "schedule.learning_rate": 0.1, "schedule.factor": 0.1,
        "schedule.milestones": [60, 80], "schedule.epochs": 120,
        "objective.smoothness": "tv", "objective.alpha1": 3e-4, "objective.alpha2": 5e-4, "objective.eps": 1e-3,
        "objective.decay": "no_connector_norms", "evaluation.iterate": "last",
    },
    "jmiv": {
        "network.widths": [16, 32, 64, 128], "network.steps": 3, "network.step_size": 1.0,
        "network.norm": "channel_rms", "network.connector_norm": "batch", "network.initialization": "glorot",
        "data.standardization": "per_image", "data.augmentation": "flip_crop", "data.validation": 0.2,
        "schedule.batch_size": 125, "schedule.learning_rate": 0.1, "schedule.factor": 0.2,
        "schedule.milestones": [60, 80], "schedule.epochs": 100,
        "objective.smoothness": "tv", "objective.alpha1": 4e-4, "objective.alpha2": 1e-4, "objective.eps": 1e-3,
        "objective.decay": "no_norms", "evaluation.iterate": "best",
    },
}  # fmt: skip

KEYS = """
dynamic recipe data.root data.download data.fraction data.fold network.widths network.steps network.step_size
network.norm network.activation schedule.epochs schedule.batch_size schedule.learning_rate schedule.milestones
objective.smoothness objective.alpha1 objective.alpha2 objective.eps optimizer.momentum optimizer.bound
evaluation.every seed device precision deterministic name output_root
""".split()  # noqa: SIM905

ANOTHER = {  # a value that no recipe has, for each kind of setting
    "network.norm": "none", "network.connector_norm": "none", "network.initialization": "normal_clipped",
    "data.standardization": "none", "data.augmentation": "none", "objective.smoothness": "h1",
    "objective.decay": "all", "evaluation.iterate": "last",
}  # fmt: skip


@pytest.mark.parametrize("recipe", TABLE)
def test_a_recipe_is_its_column_of_the_table(recipe):
    config = compose(f"recipe={recipe}")
    assert {key: value_of(config, key) for key in TABLE[recipe]} == TABLE[recipe]
    assert (config.recipe, config.optimizer.momentum, config.optimizer.bound) == (recipe, 0.9, 1.0)
    assert set(presets.choices("recipe")) == set(TABLE)


def test_nothing_said_is_the_recipe_of_the_paper():
    assert compose() == compose("recipe=paper", "dynamic=parabolic", "data=stl10", "network=paper", "schedule=paper")


@pytest.mark.parametrize("recipe", TABLE)
def test_every_row_can_be_overridden_alone(recipe):
    before = dict(_flat(compose(f"recipe={recipe}")))
    for key, value in TABLE[recipe].items():
        other = ANOTHER.get(key)
        if isinstance(value, list):
            other = [4, 6]
        elif other is None:
            other = value * 2 if value else 0.5
        if key == "schedule.epochs":
            continue  # moves the milestones as well: its own test
        after = dict(_flat(compose(f"recipe={recipe}", f"{key}={other}")))
        assert after[key] == other
        assert {k for k in after if after[k] != before[k]} <= {key}


def _flat(config):
    return [(key, value_of(config, key)) for key, _ in all_settings()]


def test_a_preset_named_in_the_command_wins_over_the_recipe_s():
    config = compose("recipe=jmiv", "network=small", "schedule=short")
    assert config.network.widths == [8, 16, 32, 64]
    assert (config.schedule.epochs, config.schedule.batch_size) == (12, 32)
    assert config.network.norm == "channel_rms"


@pytest.mark.parametrize(
    ("words", "milestones"),
    [
        (["schedule.epochs=12"], [6, 8, 10]),
        (["schedule.epochs=60"], [30, 40, 50]),
        (["schedule.epochs=12", "schedule.milestones=[3]"], [3]),
        (["schedule.epochs=12", "schedule.milestones=[]"], []),
        (["recipe=jmiv", "schedule.epochs=10"], [6, 8]),
    ],
)
def test_a_shorter_schedule_keeps_its_shape_unless_milestones_are_given(words, milestones):
    assert compose(*words).schedule.milestones == milestones


def test_the_keys_users_type_stay():
    assert set(KEYS) <= {key for key, _ in all_settings()}


def test_help_shows_every_preset_key_and_choice():
    text = help_text()
    for group in presets.GROUPS:
        for name in presets.choices(group):
            assert re.search(rf"\b{name}\b", text), name
    for key, entry in all_settings():
        assert key in text or key == "data.name"
        for choice in entry.metadata["choices"]:
            assert re.search(rf"\b{choice}\b", text), choice
    assert text.count("python -m pdenet_repro ") >= 3


def test_the_examples_of_the_help_compose():
    commands = re.findall(r"python -m pdenet_repro ((?:\S+=\S+ ?)+)$", help_text(), re.MULTILINE)
    assert len(commands) >= 2
    for command in commands:
        compose(*command.split())


@pytest.mark.parametrize("group", presets.GROUPS)
def test_every_preset_composes_and_says_what_it_is_for(group):
    for name in presets.choices(group):
        compose(f"{group}={name}")
        assert (presets.folder() / group / f"{name}.yaml").read_text().startswith("#")


def test_compose_refuses_what_the_command_line_refuses():
    with pytest.raises(
        InvalidConfig,
        match=r"dynamic=wave: must be one of parabolic, hamiltonian, second_order, resnet, or FILE\.py:CLASS",
    ):
        compose("dynamic=wave")
    with pytest.raises(InvalidConfig, match=r"data\.fracton: there is no such key; did you mean data\.fraction\?"):
        compose("data.fracton=0.1")
    with pytest.raises(InvalidConfig, match="seed=-1: must be a whole number of at least 0"):
        compose("seed=-1")


@pytest.mark.parametrize("wrong", [["seed=1"], 3, None])
def test_compose_takes_words(wrong):
    with pytest.raises(TypeError, match=r'compose takes strings, as in compose\("dynamic=resnet", "seed=1"\), not '):
        compose("dynamic=resnet", wrong)


def test_networks_can_be_built_whatever_the_data_set_and_the_machine():
    assert compose("data.fraction=0.333", "schedule.batch_size=9999", "device=cuda").data.fraction == 0.333


def test_every_field_of_a_launcher_may_be_set_and_is_explained():
    help_lines = help_text()
    examples = {dict: "{mail-type: FAIL}", list: "[a,'b c']", int: "7", str: "x"}
    for name, launcher in LAUNCHERS.items():
        for key, entry in all_settings(launcher):
            assert f"  launcher.{key} " in help_lines
            kind = next(kind for kind in examples if kind.__name__ in str(entry.type))
            words = [f"launcher={name}", f"launcher.{key}={examples[kind]}"]
            assert getattr(launcher_of(words), key) == getattr(launcher_of(words[::-1]), key)
            assert str(getattr(launcher_of(words), key)) != str(getattr(launcher_of(words[:1]), key))


def test_a_configuration_is_plain_values():
    assert asdict(compose())["network"]["widths"] == [16, 64, 128, 256]


@pytest.mark.parametrize("name", ["2024_11_25", "1e3", "true", "1.50", "fig2", "-3", "a.b"])
def test_a_name_stays_as_it_is_typed(name):
    assert compose(f"name={name}").name == name
    assert compose(f"output_root={name}").output_root == name


def test_the_names_of_a_sweep_stay_as_they_are_typed():
    sweep = compose_sweep(["data=shapes", "name=1_0,1.0,x"])
    assert [config.name for config in sweep] == ["1_0", "1.0", "x"]


def test_paired_keys_are_gone_through_together():
    words = ["data=shapes", "network.steps=3,6,12", "network.step_size=1,0.5,0.25", "seed=range(0,2)"]
    pair = "pair=network.steps,network.step_size"
    found = [(c.network.steps, c.network.step_size, c.seed) for c in compose_sweep([pair, *words])]
    assert found == [(3, 1, 0), (3, 1, 1), (6, 0.5, 0), (6, 0.5, 1), (12, 0.25, 0), (12, 0.25, 1)]
    assert len(compose_sweep(words)) == 18


def test_what_is_drawn_at_composing_is_drawn_once_for_a_sweep():
    words = ["data=shapes", "seed=shuffle(range(0,6))", "name=at-${now:%H-%M-%S-%f}"]
    configs = compose_sweep(words)
    assert sorted(config.seed for config in configs) == [0, 1, 2, 3, 4, 5]
    assert len({config.name for config in configs}) == 1


def test_compose_within_another_hydra_program_leaves_that_as_it_was(tmp_path):
    (tmp_path / "other.yaml").write_text("answer: 42\n")
    with hydra.initialize_config_dir(str(tmp_path), version_base="1.2"):
        assert compose("dynamic=resnet").dynamic == "resnet"
        with pytest.raises(InvalidConfig):
            compose("dynamic=wave")
        assert hydra.compose("other").answer == 42
        assert str(hydra.version.getbase()) == "1.2"


def test_compose_in_threads():
    with ThreadPoolExecutor(8) as pool:
        assert [c.seed for c in pool.map(lambda seed: compose(f"seed={seed}"), range(24))] == list(range(24))


def test_another_hydra_program_imports_nothing_of_ours(tmp_path):
    program = """
import sys, hydra
@hydra.main(config_path=None, version_base="1.3")
def main(config):
    print([name for name in sys.modules if "pdenet" in name])
main()
"""
    done = subprocess.run([sys.executable, "-c", program, "-m", "+x=1,2"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines().count("[]") == 2


def test_only_one_file_imports_hydra():
    source = presets.folder().parent / "src"
    for path in source.rglob("*.py"):
        if path.name != "compose.py":
            assert not re.search(r"^\s*(import|from) hydra", path.read_text(), re.MULTILINE), path
    assert "_internal" not in (source / "pdenet_repro/config/compose.py").read_text()


@pytest.mark.parametrize("value", ["/tmp/é", "a b", "it's", "(x)", "a=b", "back\\slash\\", "100%", "#1", "?", "2024"])
def test_a_path_stays_as_it_is_typed(value):
    assert compose(f"output_root={value}").output_root == value
    assert compose(f"data.root={value}").data.root == value


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("recipe=authors", "evaluation.batch_size=1"),
            r"evaluation\.batch_size=1: must be at least 2 .*batch_per_pixel",
        ),
        (("recipe=authors", "schedule.batch_size=1"), r"schedule\.batch_size=1: must be at least 2 .*batch_per_pixel"),
        (("network.norm=channel", "network.widths=[1,4]"), r"network\.widths=\[1, 4\]: must be at least 2"),
        (("dynamic=hamiltonian", "network.norm=channel", "network.widths=[2,4]"), r"must be at least 4 .*hamiltonian"),
        (("network.connector_norm=channel", "network.last_width=1"), r"connector_norm=channel: must have 2 channels"),
    ],
)
def test_norms_over_a_single_value_are_refused(words, message):
    with pytest.raises(InvalidConfig, match=message):
        compose(*words)


@pytest.mark.parametrize("key", ["output_root", "data.root"])
def test_paths_that_no_system_takes_are_refused(key):
    with pytest.raises(InvalidConfig, match=rf"{key}=a/.*must have at most 3,000 bytes, has 4,201"):
        compose(f"{key}=a" + 2100 * "/a")
    config = compose()
    if key == "output_root":
        config.output_root = os.fsdecode(b"/tmp/\xff")
    else:
        config.data.root = os.fsdecode(b"/tmp/\xff")
    with pytest.raises(InvalidConfig, match=rf"{key}=.*must be a name in UTF-8"):
        check(config)
