"""Records which code and hardware computed which epochs of a run: one record for each attempt, a start of its command."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pdenet_repro.config.schema import Config
from pdenet_repro.runs import provenance
from pdenet_repro.system.errors import CheckpointError


def begin(hardware: Mapping[str, Any], command: str, epoch: int, *, compiled: bool, memory: str) -> dict[str, Any]:
    """Return the record of an attempt that starts now in ``epoch``; `advance` updates it, and checkpoints save it."""
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
    """Record that the attempt has reached ``epoch``, and whether its steps were compiled so far."""
    first = attempt["epochs"][0]
    attempt.update({"to": _now(), "epochs": [first, max(first, epoch)], "compiled": compiled})


def compare(before: Mapping[str, Any], now: Mapping[str, Any], config: Config) -> str | None:
    """Return a sentence on the changes since the attempt before that may change the result's bytes; None if there are none.

    Raises
    ------
    CheckpointError
        Something has changed and ``resume=exact``; or the run was on a GPU, and ``device=auto`` finds none now.
    """
    was, new = _fingerprint(before), _fingerprint(now)
    changes = [f"{key}: {was.get(key)} before, {new[key]} now" for key in new if was.get(key) != new[key]]
    if not changes:
        return None
    if config.resume == "exact":
        raise CheckpointError(
            f"resume=exact: what computes this run has changed ({'; '.join(changes)}); restore that, or continue with resume=warn"
        )
    if before["device"].startswith("cuda") and now["device"] == "cpu" and config.device == "auto":
        raise CheckpointError(
            f"device=auto: this run was computed on {before['device']} so far, and no GPU can be used now; give device=cpu "
            f"to continue without one"
        )
    return (
        f"what computes this run has changed ({'; '.join(changes)}): its result may differ from that of an uninterrupted run; "
        f"with resume=exact it would not continue"
    )


def _fingerprint(attempt: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything but the settings that the bytes of a result may depend on."""
    keys = ("git_commit", "device", "threads", "compiled", "memory")
    processor = attempt["hardware"]["gpu"] or attempt["hardware"]["cpu"]
    return {**{key: attempt[key] for key in keys}, **attempt["versions"], "processor": processor}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
