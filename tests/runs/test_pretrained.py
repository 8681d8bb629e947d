"""Pretrained networks: made of a run only if the rounded weights predict as well, found by name, verified, loaded."""

import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pdenet_repro import compose, load_pretrained, load_run
from pdenet_repro.cli import analysis, export, report
from pdenet_repro.data import source, stl10
from pdenet_repro.runs import export as exporting
from pdenet_repro.runs import pretrained
from pdenet_repro.runs.folder import RunFolder, load_config, load_summary
from pdenet_repro.runs.training_run import TrainingRun
from pdenet_repro.system.console import Log
from pdenet_repro.system.errors import RunFolderError

pytestmark = pytest.mark.slow

REAL = os.environ.get("PDENET_DATA_ROOT")


@pytest.fixture(scope="module")
def dataset():
    """Ten classes that differ in the brightness of one channel."""
    random = np.random.default_rng(0)
    parts = []
    for per_class in (4, 30):
        labels = np.repeat(np.arange(10), per_class)
        pixels = random.integers(0, 256, (len(labels), 3, 16, 16), dtype=np.uint8)
        pixels[:, 0] //= (labels + 1).astype(np.uint8)[:, None, None]
        parts.append(stl10.Images(pixels, labels))
    names = tuple(f"class{i}" for i in range(10))
    return stl10.Dataset(*parts, class_names=names, folds=(), checksums={"test_X.bin": "of the test"})


@pytest.fixture(scope="module")
def run(tmp_path_factory, dataset):
    """A trained run, in bfloat16 and without standardisation, so that brightness tells."""
    words = (
        "data=shapes",
        "network=tiny",
        "schedule=short",
        "schedule.epochs=6",
        "schedule.batch_size=8",
        "device=cpu",
    )
    root = tmp_path_factory.mktemp("study")
    more = ("data.standardization=none", "dynamic=hamiltonian", "precision=bfloat16", f"output_root={root}")
    folder = RunFolder(compose(*words, *more))
    with folder.locked():
        folder.begin(f"python -m pdenet_repro dynamic=hamiltonian seed=0 output_root={root}")
        TrainingRun(folder.config, dataset, folder, Log(), SimpleNamespace(received=None)).execute()
    return folder.path


@pytest.fixture(autouse=True)
def _images(request, monkeypatch):
    """What would be read from disk, but for the tests on the real images."""
    if "run" in request.fixturenames:
        found = request.getfixturevalue("dataset")
        monkeypatch.setattr(source, "load", lambda config, say: found)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The package's folder of pretrained networks, empty."""
    monkeypatch.setattr(pretrained, "folder", lambda: tmp_path / "pretrained")
    return tmp_path / "pretrained"


@pytest.fixture
def exported(run, package):
    assert export.main([str(run), "--name", "little"]) == 0
    return package / "little"


def test_a_loaded_network_predicts_what_the_run_predicted(run, exported, dataset):
    network, _ = load_run(run)
    images = torch.from_numpy(dataset.test.pixels)
    with torch.no_grad():
        before, after = network.probabilities(images), load_pretrained("little").probabilities(images)
    assert not torch.equal(before, after)  # they were rounded
    assert after.numpy() == pytest.approx(before.numpy(), abs=5e-3)
    assert (exported / "weights.safetensors").stat().st_size < 0.7 * (run / "weights.safetensors").stat().st_size


def test_the_card_says_what_the_run_and_the_rounded_weights_give(run, exported):
    card, summary = json.loads((exported / "card.json").read_text()), load_summary(run)
    assert card["accuracy_of_the_run"] == summary["test_accuracy"]
    assert card["accuracy_half_precision"] == pytest.approx(summary["test_accuracy"], abs=0.001)
    assert card["weights_of_the_run_sha256"] == summary["files_sha256"]["weights.safetensors"]
    assert card["data_md5"] == summary["data_md5"]
    assert (card["recipe"], card["git_commit"]) == ("paper", summary["git_commit"])
    assert "dynamic=hamiltonian" in card["command"]
    assert "output_root" not in card["command"]
    page = (exported / "README.md").read_text()
    for word in (f"{summary['test_accuracy']:.2%}", card["weights_sha256"], 'load_pretrained("little")'):
        assert word in page


@pytest.mark.parametrize("name", ["hamiltonian", "parabolic", "second_order"])
def test_the_page_of_a_network_of_the_package_is_that_of_its_card(name):
    folder = pretrained.folder_of(name)
    card, page = json.loads((folder / "card.json").read_text()), (folder / "README.md").read_text()
    assert page == exporting.as_markdown(card)
    assert f"{card['command']} schedule.last_batch={card['last_batch']}`" in page


def test_report_and_analysis_take_its_name(exported, tmp_path, capsys):
    assert report.main(["pretrained:little", "--output", str(tmp_path / "report")]) == 0
    assert "figure3" in capsys.readouterr().out
    assert (
        analysis.main(["kernels", "pretrained:little", "--images", "20", "--output", str(tmp_path / "analysis")]) == 0
    )
    assert (tmp_path / "analysis" / "kernels.json").is_file()
    capsys.readouterr()
    for command, words in ((report, []), (analysis, ["kernels"])):
        assert command.main([*words, "pretrained:little"]) == 2
        assert "--output FOLDER must be given" in capsys.readouterr().err


def test_damaged_weights_are_refused(exported):
    content = bytearray((exported / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (exported / "weights.safetensors").write_bytes(content)
    with pytest.raises(RunFolderError, match=r"little/weights\.safetensors is damaged: its SHA-256"):
        load_pretrained("little")


def test_a_folder_of_the_package_is_called_by_its_word(tmp_path):
    assert pretrained.argument_for(pretrained.folder_of("hamiltonian")) == "pretrained:hamiltonian"
    assert pretrained.argument_for(tmp_path) == str(tmp_path)
    assert pretrained.argument_for(None) == ""


def test_weights_that_predict_worse_make_no_network(run, package, monkeypatch, capsys):
    def spoilt(network):
        return {name: torch.zeros_like(tensor) for name, tensor in network.state_dict().items()}

    monkeypatch.setattr(exporting, "half_precision", spoilt)
    assert export.main([str(run)]) == 2
    assert "must be the same within 0.1 points" in capsys.readouterr().err
    assert pretrained.names() == []


def test_other_images_are_refused(run, package, monkeypatch, capsys):
    def other(config, say):
        images = stl10.Images(np.zeros((10, 3, 16, 16), np.uint8), np.arange(10))
        return stl10.Dataset(images, images, class_names=(), folds=(), checksums={"test_X.bin": "other"})

    monkeypatch.setattr(source, "load", other)
    assert export.main([str(run), "--data-root", "there"]) == 2
    assert "other images than those in there" in capsys.readouterr().err


def test_a_study_an_unfinished_run_and_a_bad_name_are_refused(run, package, capsys):
    assert export.main([str(run.parents[2])]) == 2
    assert "must be the folder of one finished run" in capsys.readouterr().err
    assert export.main([str(run), "--name", "../x"]) == 2
    assert "--name ../x: must consist of small letters" in capsys.readouterr().err


def test_a_folder_of_studies_is_refused(tmp_path, package, capsys):
    for study in ("one", "two"):
        folder = tmp_path / "outputs" / study / "parabolic" / "fraction-0.10" / "seed-0"
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text("damaged: true\n")
        (folder / "command.txt").write_text("python -m pdenet_repro\n")
    assert export.main([str(tmp_path / "outputs")]) == 2
    assert "must be the folder of one finished run; it is a folder of runs; name one of them" in capsys.readouterr().err


def test_an_unknown_name_is_answered_with_those_that_there_are(package):
    with pytest.raises(RunFolderError, match="'wave': must be a pretrained network: none is installed"):
        load_pretrained("wave")
    for name in ("one", "two"):
        (package / name).mkdir(parents=True)
        (package / name / "card.json").write_text("{}")
    with pytest.raises(RunFolderError, match="'wave': must be a pretrained network: one, two"):
        load_pretrained("wave")


@pytest.mark.parametrize("name", pretrained.names())
def test_a_network_of_the_package_is_as_its_card_says(name):
    folder = pretrained.folder_of(name)
    card, summary = json.loads((folder / "card.json").read_text()), load_summary(folder)
    assert abs(card["accuracy_of_the_run"] - card["accuracy_half_precision"]) <= 0.001
    assert card["weights_sha256"] == summary["files_sha256"]["weights.safetensors"]
    network = load_pretrained(name)
    assert network.weight_count() == card["weights"]
    assert not network.training


@pytest.mark.skipif(not REAL, reason="needs the real images: PDENET_DATA_ROOT")
@pytest.mark.parametrize("name", pretrained.names())
def test_a_network_of_the_package_predicts_what_its_run_recorded_of_500_images(name):
    folder = pretrained.folder_of(name)
    config = load_config(folder)
    config.data.root = REAL
    pixels = np.array(source.load(config.data, print).test.pixels[:500])
    with np.load(folder / "predictions.npz") as recorded, torch.no_grad():
        network = load_pretrained(name)
        found = torch.cat([network.probabilities(part) for part in torch.from_numpy(pixels).split(125)]).numpy()
        same = found.argmax(1) == recorded["predicted"][:500]
        assert same.mean() >= 0.98  # rounded weights, and float32 where the run had bfloat16
        right = [
            (classes == recorded["labels"][:500]).mean() for classes in (found.argmax(1), recorded["predicted"][:500])
        ]
    assert right[0] == pytest.approx(right[1], abs=0.01)
