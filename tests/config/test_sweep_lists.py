"""A study whose ``sweep`` is a list: each entry is a sweep, and their runs follow one another."""

import shutil
from pathlib import Path

import pytest

from pdenet_repro import compose
from pdenet_repro.config import compose as composing
from pdenet_repro.config import presets
from pdenet_repro.config.check import check
from pdenet_repro.config.compose import compose_sweep
from pdenet_repro.config.schema import all_settings, value_of
from pdenet_repro.runs.folder import path_of
from pdenet_repro.system.errors import InvalidConfig


@pytest.fixture
def study(tmp_path, monkeypatch):
    """``study("- {seed: 1}")`` composes a study whose file has this sweep."""
    folder = shutil.copytree(presets.folder(), tmp_path / "configs")
    monkeypatch.setattr(presets, "folder", lambda: folder)
    monkeypatch.setattr(composing, "folder", lambda: folder)

    def compose_study(sweep, *words):
        (folder / "study" / "mine.yaml").write_text(f"# @package _global_\nsweep:\n{sweep}\n")
        return compose_sweep(["study=mine", "data=shapes", *words])

    return compose_study


def places(configs):
    return ["/".join(path_of(config).parts[-3:]) for config in configs]


def test_entries_follow_one_another_and_each_is_a_product_of_its_values(study):
    found = study("  - {}\n  - {seed: '1,2', dynamic: 'parabolic,resnet'}\n  - {data.fraction: 0.5}")
    assert places(found) == [
        "parabolic/fraction-1.00/seed-0",
        "parabolic/fraction-1.00/seed-1", "resnet/fraction-1.00/seed-1",
        "parabolic/fraction-1.00/seed-2", "resnet/fraction-1.00/seed-2",
        "parabolic/fraction-0.50/seed-0",
    ]  # fmt: skip


def test_values_of_yaml_are_read_as_those_of_a_command(study):
    entry = "{optimizer.bound: null, deterministic: true, network.widths: [2, 4], objective.alpha1: 9.5e-3}"
    (config,) = study(f"  - {entry}")
    words = ("optimizer.bound=null", "deterministic=true", "network.widths=[2,4]", "objective.alpha1=9.5e-3")
    assert config == compose("data=shapes", *words)


def test_pairs_belong_to_their_entry(study):
    paired = "{network.steps: '3,6', network.step_size: '1,0.5', pair: 'network.steps,network.step_size'}"
    found = study(f"  - {{seed: '0,1'}}\n  - {paired}")
    assert [(c.seed, c.network.steps, c.network.step_size) for c in found] == [
        (0, 3, 1), (1, 3, 1), (0, 3, 1), (0, 6, 0.5)
    ]  # fmt: skip


def test_the_words_of_a_command_hold_for_every_entry_and_win(study):
    found = study("  - {}\n  - {seed: 5, variation: 'seed-${seed}'}", "seed=7,8", "dynamic=resnet")
    assert places(found) == [f"resnet/fraction-1.00{ending}" for ending in
                             ("/seed-7", "/seed-8", "-seed-7/seed-7", "-seed-8/seed-8")]  # fmt: skip


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ("  []", r"sweep: \[\] .*must have at least one entry"),
        ("  - 3", r"sweep: 3 .*must be entries like \{data.fraction"),
        ("  three", r"sweep: 'three' .*must be entries like"),
        ("  - {1: 2}", r"sweep: \{1: 2\} .*must be entries like"),
        ("  - {network: {steps: 3}}", r"sweep: network: \{'steps': 3\} .*must be values; write KEY.KEY: VALUE"),
        ("  - {sed: 1}", r"sed: there is no such key; did you mean seed"),
        ("  - {seed: x}", r"seed=x: must be a whole number"),
        ("  - {seed: '1,2', pair: 'seed,dynamic'}", r"pair=seed,dynamic: dynamic must be a key that has values"),
    ],
)
def test_a_malformed_sweep_is_refused_in_one_sentence(study, sweep, message):
    with pytest.raises(InvalidConfig, match=message) as refused:
        study(sweep)
    assert "\n" not in str(refused.value)


def test_a_variation_is_an_ending_of_the_folder_and_changes_no_result():
    plain, varied = compose("data.fraction=0.1"), compose("data.fraction=0.1", "variation=1e3")
    assert places([plain, varied]) == ["parabolic/fraction-0.10/seed-0", "parabolic/fraction-0.10-1e3/seed-0"]
    assert "1e3" in varied.short_name
    for wrong in ("a/b", "a b"):
        with pytest.raises(InvalidConfig, match=rf"variation={wrong}: must be letters"):
            compose(f"variation={wrong}")


@pytest.mark.parametrize("name", ["readings", "readings_half"])
def test_each_variation_of_a_study_of_readings_changes_one_reading(name):
    """Of the run without a variation in the same place; the weight of h1's smoothness term belongs to its reading."""
    configs = compose_sweep([f"study={name}"])
    for config in configs:
        check(config)
    assert len({path_of(config) for config in configs}) == len(configs)
    bases = {(c.dynamic, c.data.fraction, c.seed): c for c in configs if not c.variation}
    keys = [key for key, entry in all_settings() if entry.metadata["result"]]
    changed = []
    for config in (config for config in configs if config.variation):
        base = bases[config.dynamic, config.data.fraction, config.seed]
        different = {key for key in keys if value_of(config, key) != value_of(base, key)} - {"objective.alpha1"}
        assert len(different) == 1, config.variation
        changed += different
    assert bases[min(bases)].recipe == "paper"
    expected = {
        "readings": {
            "network.initialization", "network.initial_draw", "data.standardization", "objective.smoothness", "optimizer.bound",
            "schedule.last_batch", "network.hamiltonian_order", "network.leapfrog_start",
        },
        "readings_half": {
            "network.connector_norm", "network.norm", "objective.loss_factor", "network.initial_norms", "optimizer.bounded",
        },
    }  # fmt: skip
    assert set(changed) == expected[name]


def test_the_h1_variation_has_the_weight_at_which_both_terms_are_equal_for_small_changes():
    """sqrt(x^2 + eps) = sqrt(eps) + x^2 / (2 sqrt(eps)) + ...: alpha1 of h1 is alpha1 / sqrt(eps)."""
    (h1,) = (c for c in compose_sweep(["study=readings"]) if c.objective.smoothness == "h1")
    plain = compose("recipe=paper").objective
    assert h1.objective.alpha1 == pytest.approx(plain.alpha1 / plain.eps**0.5, rel=1e-6)


def test_the_studies_of_the_theory_share_their_runs_of_three_steps(monkeypatch):
    """``study=controls`` and ``study=steps``; the latter has one final time, and settings that are neutral at h = 1."""
    monkeypatch.chdir(Path(__file__).parents[2])  # the controls are in docs/examples
    controls, steps = (compose_sweep([f"study={name}"]) for name in ("controls", "steps"))
    for config in [*controls, *steps]:
        check(config)
    assert (len(controls), len(steps)) == (14, 24)
    assert {config.dynamic for config in controls} == {
        "parabolic", "hamiltonian", "second_order", "Expansive", "EqualSigns", "resnet", "StartsParabolic"
    }  # fmt: skip
    plain = [config for config in steps if not config.variation]
    assert len(plain) == 6
    assert all(config in controls for config in plain)
    varied = [config for config in steps if config.variation]
    assert {(c.variation, c.network.steps, c.network.steps * c.network.step_size) for c in varied} == {
        ("steps-1", 1, 3), ("steps-2", 2, 3), ("steps-6", 6, 3)
    }  # fmt: skip
    assert {(c.objective.quadrature, c.optimizer.scale_rate_in_units) for c in varied} == {("integral", True)}
    assert {path_of(config).parts[1] for config in [*controls, *steps]} == {"theory-stl10-paper"}
