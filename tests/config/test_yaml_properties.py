"""Any configuration that the schema allows comes back from its YAML file as it was."""

import tempfile
from pathlib import Path
from types import NoneType
from typing import get_args, get_origin

from hypothesis import given, settings
from hypothesis import strategies as st

from pdenet_repro import compose
from pdenet_repro.config.schema import all_settings, value_of
from pdenet_repro.runs.folder import config_digest, differences, load_config, to_yaml

WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="$"), min_size=1, max_size=8
)


def values(entry):
    """A strategy for the values that a key of the schema takes, by its own bounds and choices."""
    rule = entry.metadata
    kind = (get_args(entry.type) or (entry.type,))[0]
    low = max((bound for bound in (rule["low"], rule["above"]) if bound is not None), default=-1e9)
    high = min((bound for bound in (rule["high"], rule["below"]) if bound is not None), default=1e9)
    if rule["choices"]:
        found = st.sampled_from(rule["choices"])
    elif kind is bool:
        found = st.booleans()
    elif kind is int:
        found = st.integers(int(low), int(high))
    elif kind is float:
        found = st.floats(low, high, exclude_min=rule["above"] is not None, exclude_max=rule["below"] is not None)
    else:
        found = WORDS
    if get_origin(entry.type) is list:
        found = st.lists(found, min_size=1, max_size=4)
    return st.none() | found if NoneType in get_args(entry.type) else found


ENTRIES = {key: entry for key, entry in all_settings() if key != "dynamic_file"}  # the folder has its own copy of that


@settings(max_examples=40)
@given(st.fixed_dictionaries({}, optional={key: values(entry) for key, entry in ENTRIES.items()}))
def test_configuration_to_yaml_and_back(changes):
    config = compose("data=shapes", "network=tiny")
    for key, value in changes.items():
        *groups, name = key.split(".")
        owner = config
        for group in groups:
            owner = getattr(owner, group)
        setattr(owner, name, value)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.yaml").write_text(to_yaml(config))
        found = load_config(Path(folder))
    assert all(value_of(found, key) == value_of(config, key) for key in ENTRIES)
    assert found == config
    assert not differences(found, config)
    assert config_digest(found) == config_digest(config)
