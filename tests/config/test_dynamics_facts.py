"""Facts of dynamics: the table, and those that a user's file states, read from its text."""

import hashlib
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from pdenet_repro import compose
from pdenet_repro.config.compose import compose_sweep
from pdenet_repro.config.dynamics import BUILT_IN, Facts, facts_of, locate, sort_key
from pdenet_repro.system.errors import InvalidConfig

TEXT = """\
raise RuntimeError("this file must not be executed here")
class Plain(Dynamic):
    pass
class Stated(Dynamic):
    facts = dynamics.Facts("two waves", colour="#123abc", marker="P", reversible=True, layers=2, order=2)
class Wave(Dynamic):
    facts: Facts = Facts("wave", reversible=True)
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "my waves.py"
    path.write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    return path


def test_facts_are_read_and_not_executed(file):
    assert facts_of("Plain", str(file)) == Facts("Plain", "Plain")
    stated = Facts("two waves", "Stated", "#123abc", "P", reversible=True, layers=2, order=2)
    assert facts_of("Stated", str(file)) == stated
    assert facts_of("Stated") == stated  # in figures, by name alone
    assert facts_of("Wave", str(file)) == Facts("wave", "Wave", reversible=True)
    assert facts_of("never heard of") == Facts("never heard of", "never heard of")


def test_a_configuration_remembers_name_file_and_checksum(file):
    config = compose("dynamic=./my waves.py:Stated", "data=shapes")
    sha256 = hashlib.sha256(TEXT.encode()).hexdigest()
    assert (config.dynamic, config.dynamic_file, config.dynamic_sha256) == ("Stated", str(file), sha256)
    again = compose("dynamic=Stated", f"dynamic_file='{file}'", f"dynamic_sha256='{sha256}'", "data=shapes")
    assert again == config
    built_in = compose("dynamic=resnet")
    assert (built_in.dynamic, built_in.dynamic_file, built_in.dynamic_sha256) == ("resnet", None, None)


def test_a_sweep_over_built_in_dynamics_and_those_of_files(file):
    configs = compose_sweep(["dynamic=hamiltonian,./my waves.py:Plain,./my waves.py:Wave", "seed=0,1", "data=shapes"])
    assert [(config.dynamic, config.seed) for config in configs] == [
        (name, seed) for name in ("hamiltonian", "Plain", "Wave") for seed in (0, 1)
    ]
    assert sorted(["Wave", "resnet", "Plain", "parabolic"], key=sort_key) == ["parabolic", "resnet", "Plain", "Wave"]


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("wave", ("dynamic=wave", "parabolic, hamiltonian, second_order, resnet", "FILE.py:CLASS")),
        ("my waves.py", ("dynamic=my waves.py: must be FILE.py:CLASS, for example my waves.py:Plain",)),
        ("empty.py", ("dynamic=empty.py: must be FILE.py:CLASS", "empty.py defines no class")),
        ("broken.py", ("broken.py, line 2: is not valid Python", "must define the class of the dynamic")),
        ("none.py:Wave", ("dynamic=none.py:Wave: ", "none.py is missing; must be FILE.py:CLASS")),
        ("my waves.py:Other", ("dynamic=my waves.py:Other", "my waves.py", "Plain, Stated, Wave")),
        (".:Wave", ("dynamic=.:Wave", "cannot be read: Is a directory")),
        (":Wave", ("dynamic=:Wave", "FILE.py:CLASS")),
        ("broken.py:A", ("broken.py, line 2: is not valid Python", "must define the class A")),
        ("bad.py:A", ("bad.py, line 2", "the facts of A", "colour='red': must be like")),
        ("bad.py:B", ("bad.py, line 4", "marker='oo': must be one of o s D")),
        ("bad.py:C", ("bad.py, line 6", "WORDS must be a plain value")),
        ("bad.py:D", ("bad.py, line 8", "must be written as facts = Facts(...)")),
        ("bad.py:E", ("bad.py, line 10", "unexpected keyword argument 'hue'")),
        ("bad.py:F", ("bad.py, line 12", "layers=0: must be a whole number of at least 1")),
        ("bad.py:resnet", ("the class resnet must have another name",)),
    ],
)
def test_what_is_refused_in_one_sentence(file, word, parts):
    file.with_name("empty.py").write_text("")
    file.with_name("broken.py").write_text("class A:\n    def (\n")
    facts = ['"A", colour="red"', '"B", marker="oo"', "WORDS", None, '"E", hue="red"', '"F", layers=0']
    lines = [
        f"class {name}:\n    facts = {f'Facts({fact})' if fact else 'SOME'}\n"
        for name, fact in zip("ABCDEF", facts, strict=True)
    ]
    file.with_name("bad.py").write_text("".join(lines) + "class resnet:\n    pass\n")
    with pytest.raises(InvalidConfig) as caught:
        compose(f"dynamic={word}")
    message = str(caught.value)
    assert "\n" not in message
    assert all(part in message for part in parts), message


def test_of_a_run_whose_file_is_gone_the_message_names_the_copy(file):
    file.unlink()
    for call in (lambda: locate("Plain", str(file), "abc"), lambda: facts_of("Plain", str(file))):
        with pytest.raises(
            InvalidConfig, match=r"dynamic=Plain: .*my waves\.py is missing \(the folder of a run keeps a copy"
        ):
            call()


def test_a_file_that_has_changed_is_refused(file):
    with pytest.raises(InvalidConfig, match=r"my waves\.py has the SHA-256 .*, expected abc"):
        locate("Plain", str(file), "abc")
    with pytest.raises(InvalidConfig, match="dynamic_sha256=abc: must be left out for dynamic=resnet"):
        locate("resnet", None, "abc")


def test_the_schema_asks_the_facts(file):
    for words, part in (
        (("dynamic=my waves.py:Plain", "network.memory=reverse"), "dynamic=Plain, which cannot be run backwards"),
        (("dynamic=parabolic", "network.memory=reverse"), r"backwards \(hamiltonian and second_order can\)"),
        (("dynamic=my waves.py:Stated", "network.widths=[4,7]"), "multiples of 2 for dynamic=Stated.*7 is not"),
    ):
        with pytest.raises(InvalidConfig, match=part):
            compose(*words)
    assert compose("dynamic=my waves.py:Wave", "network.memory=reverse").network.memory == "reverse"


def test_a_recipe_may_choose_by_dynamic():
    """The named commit draws the kernels of leapfrog anew at every step (docs/spec.md, section 11)."""
    draws = {
        config.dynamic: config.network.initial_draw
        for config in compose_sweep(["recipe=authors", "dynamic=parabolic,hamiltonian,second_order"])
    }
    assert draws == {"parabolic": "once", "hamiltonian": "once", "second_order": "each_step"}


@pytest.mark.parametrize(
    ("fact", "value", "allowed"),
    [
        ("region", "square", "disc, imaginary_interval or None"),
        ("equation", "wave", "parabolic, hamiltonian, second_order or None"),
        ("equation", "hamiltonian", "hamiltonian has layers=2"),  # resnet has one
        ("integrator", "", "text or None"),
        ("published", 74.85, "percentages by recipe"),
        ("published", {"paper": "74.85"}, "percentages by recipe"),
        ("published", {"paper": 101}, "percentages by recipe"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused(fact, value, allowed):
    with pytest.raises(ValueError, match=f"^{re.escape(f'{fact}={value!r}: must be ')}.*{allowed}"):
        replace(BUILT_IN["resnet"], **{fact: value})


def test_no_torch_is_needed(file):
    program = (
        "import sys, pdenet_repro; pdenet_repro.compose('dynamic=my waves.py:Wave'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=file.parent)
