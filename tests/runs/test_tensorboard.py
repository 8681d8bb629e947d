"""What TensorBoard shows on a study's folder."""

import pytest

from pdenet_repro import compose
from pdenet_repro.networks.build import build_network
from pdenet_repro.runs.folder import path_of
from pdenet_repro.runs.tensorboard import CHARTS, Events, confusion_figure


@pytest.fixture
def study(tmp_path):
    import numpy as np

    for dynamic, accuracy in (("parabolic", 0.25), ("hamiltonian", 0.5)):
        config = compose("data=shapes", "network=tiny", f"dynamic={dynamic}", f"output_root={tmp_path}", "name=study")
        events = Events(path_of(config) / "tensorboard", 1, print)
        for epoch in (1, 2):
            row = {
                "epoch": epoch,
                "loss": 2.0 / epoch,
                "running_train_accuracy": 0.5,
                "test_accuracy": accuracy * epoch / 2,
            }
            events.epoch(row, {"epoch": epoch, "seconds": 1.0})
        summary = {"test_accuracy": accuracy, "train_accuracy": 0.5, "class_names": list("abcdefghij")}
        events.result(config, summary, np.eye(10, dtype=int), build_network(config))
        events.close()
    return tmp_path / "study"


def test_runs_by_name_settings_and_one_chart_for_all(study):
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
    from tensorboard.plugins.custom_scalar import layout_pb2
    from tensorboard.plugins.hparams import plugin_data_pb2

    seen = EventMultiplexer().AddRunsFromDirectory(str(study))
    seen.Reload()
    runs = seen.Runs()
    assert set(runs) == {f"{name}/fraction-1.00/seed-0/tensorboard" for name in ("parabolic", "hamiltonian")}
    for name, accuracy in (("parabolic", 0.25), ("hamiltonian", 0.5)):
        run = f"{name}/fraction-1.00/seed-0/tensorboard"
        assert [event.value for event in seen.Scalars(run, "accuracy/test")] == [accuracy / 2, accuracy]
        settings = plugin_data_pb2.HParamsPluginData.FromString(
            seen.SummaryMetadata(run, "_hparams_/session_start_info").plugin_data.content
        ).session_start_info.hparams
        assert settings["dynamic"].string_value == name
        assert settings["data.fraction"].number_value == 1
        (layout,) = (tensor.tensor_proto for tensor in seen.Tensors(run, "custom_scalars__config__"))
        category = layout_pb2.Layout.FromString(layout.string_val[0]).category[0]
        assert {chart.title: list(chart.multiline.tag) for chart in category.chart} == {
            title: tags for title, (_, tags) in CHARTS["study"].items()
        }
    tags = {tag for run in runs for tag in runs[run]["scalars"]}
    assert {"accuracy/running_train", "result/train_accuracy"} <= tags  # two quantities, two names
    assert {tag for _, names in CHARTS["study"].values() for tag in names} <= tags


def test_a_run_that_starts_over_discards_the_epochs_of_the_attempt_before(tmp_path, monkeypatch):
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
    from tensorboard.summary.writer import event_file_writer

    # Files of one second are read in the order of the last part of their names, a count of the process: "10" before "9".
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(0))
    for epochs, accuracy in ((3, 0.1), (2, 0.9)):
        events = Events(tmp_path / "run", 1, print)
        for epoch in range(1, epochs + 1):
            events.epoch({"epoch": epoch, "test_accuracy": accuracy}, {"epoch": epoch})
        events.close()
    seen = EventMultiplexer().AddRunsFromDirectory(str(tmp_path))
    seen.Reload()
    assert [(event.step, round(event.value, 6)) for event in seen.Scalars("run", "accuracy/test")] == [
        (1, 0.9),
        (2, 0.9),
    ]


def test_a_matrix_of_many_classes_has_no_numbers():
    import numpy as np

    few, many = (confusion_figure(np.ones((n, n), dtype=int), [str(i) for i in range(n)]).axes[0] for n in (10, 100))
    assert (len(few.texts), len(many.texts)) == (100, 0)
