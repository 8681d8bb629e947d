"""The attempts of a run: what computed which epochs. Each start of a command that trains is one; a checkpoint keeps them all."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pdenet_repro.config.schema import Config
from pdenet_repro.runs import provenance
from pdenet_repro.system.errors import CheckpointError

# What the bytes of a result may depend on, beside the settings: compared when a run goes on.
COMPARED = ("git_commit", "versions", "device", "processor", "threads", "compiled", "memory")


def begin(hardware: Mapping[str, Any], command: str, epoch: int, *, compiled: bool, memory: str) -> dict[str, Any]:
    """The record of an attempt that starts now in ``epoch``; `advance` moves its end."""
    now = _now()
    return {
        "from": now,
        "to": now,
        "epochs": [epoch, epoch],
        "git_commit": provenance.git_commit(),
        "versions": provenance.versions(),
        "hardware": dict(hardware),
        "device": hardware["device"],
        "threads": hardware["threads"],
        "compiled": compiled,
        "memory": memory,
        "command": command,
    }


def advance(attempt: dict[str, Any], epoch: int, *, compiled: bool) -> None:
    """Note that the attempt has come to ``epoch``, and whether its steps were compiled as far as it has come."""
    first = attempt["epochs"][0]
    attempt.update({"to": _now(), "epochs": [first, max(first, epoch)], "compiled": compiled})


def compare(before: Mapping[str, Any], now: Mapping[str, Any], config: Config) -> str | None:
    """A sentence on what has changed since the attempt before, that may change the result's bytes; None if nothing has.

    Raises
    ------
    CheckpointError
        Something has changed and ``resume=exact``; or the run was on a GPU and ``device=auto`` has found none.
    """
    changes = [f"{key}: {was} before, {new} now" for key in COMPARED for was, new in _different(key, before, now)]
    if not changes:
        return None
    if config.resume == "exact":
        raise CheckpointError(
            f"resume=exact: what computes this run has changed ({'; '.join(changes)}); restore that, or go on with resume=warn"
        )
    if before["device"].startswith("cuda") and now["device"] == "cpu" and config.device == "auto":
        raise CheckpointError(
            f"device=auto: this run was computed on {before['device']} so far, and no GPU can be used now; device=cpu goes on "
            f"without one"
        )
    return (
        f"what computes this run has changed ({'; '.join(changes)}): its result may differ from that of a run without a stop, "
        f"which resume=exact would have refused"
    )


def _different(key: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    was, new = (_value(key, attempt) for attempt in (before, now))
    if not isinstance(was, dict):
        return [(was, new)] if was != new else []
    return [(f"{name} {was.get(name)}", new.get(name)) for name in new if was.get(name) != new.get(name)]


def _value(key: str, attempt: Mapping[str, Any]) -> Any:
    if key == "processor":
        return attempt["hardware"]["gpu"] or attempt["hardware"]["cpu"]
    return attempt[key]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
