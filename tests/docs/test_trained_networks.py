"""What the analyses of the trained networks found: the index and the table are those of the published files."""

import pytest
from project_scripts import load


@pytest.fixture(scope="module")
def script():
    return load("trained_networks")


def test_index_and_tables_are_of_the_published_analyses(script):
    assert (script.FOLDER / "README.md").read_text() == script.index()
    pages = [page.read_text() for page in script.PAGES]
    assert [script.with_tables(page) for page in pages] == pages
    assert all("".join(pages).count(f"<!-- {mark}: written by") == 1 for mark in script.TABLES)


def test_a_cell_has_the_trained_value_and_the_initial_one_in_brackets(script, tmp_path, monkeypatch):
    (tmp_path / "hamiltonian").mkdir()
    (tmp_path / "hamiltonian" / "kernels.csv").write_text(
        "network,unit,relative_change_max,entry_max,operator_norm_max,negative_scales,scales\n"
        "Hamiltonian,1,0.25,0.5,2,1,8\nHamiltonian,2,0.125,0.5,3,0,8\n"
        '"Hamiltonian, initial weights",1,0,0.5,1.5,0,8\n"Hamiltonian, initial weights",2,0,0.5,1.25,0,8\n'
    )
    monkeypatch.setattr(script, "FOLDER", tmp_path)
    lines = script.side_by_side(script.PRETRAINED, script.LINES).splitlines()[2:]
    cells = {line.split(" | ")[0]: line.split(" | ")[2:] for line in lines}
    assert cells["| largest operator norm"] == ["", "2, 3 (1.5, 1.25)", " |"]
    assert cells["| negative scales, which void Theorem 1"] == ["", "1 of 16 (0 of 16)", " |"]
    assert len(cells) == 4


def test_the_initial_weights_of_a_network_of_other_settings_are_found(script, tmp_path, monkeypatch):
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps" / "kernels.csv").write_text(
        'network,value\n"parabolic, steps-1",1\n"parabolic, initial weights, steps-1",2\n"parabolic, initial weights",3\n'
    )
    monkeypatch.setattr(script, "FOLDER", tmp_path)
    for initial, value in ((False, "1"), (True, "2")):
        (row,) = script.Network("steps", "parabolic, steps-1", initial).rows("kernels")
        assert row["value"] == value


def test_the_networks_of_one_folder_are_distinguished_by_their_labels(script, tmp_path, monkeypatch):
    (tmp_path / "authors").mkdir()
    (tmp_path / "authors" / "kernels.csv").write_text(
        "network,unit,relative_change_max,negative_scales,scales\nparabolic,1,0.25,0,8\nsecond-order,1,0.5,3,8\n"
    )
    monkeypatch.setattr(script, "FOLDER", tmp_path)
    change, scales = script.side_by_side(script.AUTHORS, script.REFINEMENT).splitlines()[2:]
    assert change.split(" | ")[2:] == ["0.25", "", "0.5 |"]
    assert scales.split(" | ")[2:] == ["0 of 8", "", "3 of 8 |"]
