"""What a sweep has still to do, and how long that takes."""

from pdenet_repro import compose
from pdenet_repro.sweeps import forecast, sweep

SMALL = ("data=shapes", "network=tiny", "schedule=short", "schedule.epochs=4", "name=sweep")


def test_a_forecast_starts_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(forecast, "seconds_per_image", lambda config: (0.5, 0.25))
    words = [*SMALL, f"output_root={tmp_path}", "dynamic=parabolic,resnet", "data.fraction=0.1"]
    forecast.show(sweep.configurations(words))
    out = capsys.readouterr().out
    assert "parabolic, fraction 0.1, seed 0  to do" in out
    assert "2 runs: 2 to do" in out
    assert f"{2 * 4 * 200:,} image passes to train, {2 * 3200:,} to evaluate" in out
    assert "about 40:00 on" in out  # (768 / 2 + 1200 / 4) seconds each
    assert list(tmp_path.iterdir()) == []


def test_the_calibration_measures(tmp_path):
    training, evaluation = forecast.seconds_per_image(compose(*SMALL, "device=cpu"))
    assert evaluation > 0
    assert training > 0
