"""Publish a study: copy its finished runs without weights, small enough for a repository, and write their report.

Each run keeps its path below the target (``DYNAMIC/fraction-0.10/seed-0``) with its configuration, command, metrics,
timings, confusion matrix, summary and test predictions: probabilities in float16, predicted classes exactly. The summary
lists the checksums of the published files, and under ``published`` those of the original summary and of the files that were
left out or changed. In absolute paths ``FOLDER`` stands for the folders of the machine (`absolute_paths`). The images of
Figure 1 are stored once, in ``examples.npz`` of the study. A report of the target draws everything again.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from pdenet_repro.report import examples
from pdenet_repro.report.absolute_paths import last_part, without_folders
from pdenet_repro.report.groups import check_keys, counted
from pdenet_repro.report.run import Run
from pdenet_repro.report.runs import Collection, collect, combine
from pdenet_repro.report.write import Options, write_report
from pdenet_repro.runs import provenance
from pdenet_repro.runs.folder import CHECKSUM_KEY, DYNAMIC_COPY, checksum_of, load_summary
from pdenet_repro.system.errors import InvalidConfig, RunFolderError
from pdenet_repro.system.files import make_folder, npz, write_atomically

COMMAND = "command.txt"  # has no checksum in the summary
COPIED = ("config.yaml", COMMAND, "metrics.csv", "timings.csv", "confusion.csv", DYNAMIC_COPY)


def publish(folders: Sequence[Path], target: Path, options: Options) -> bool:
    """Copy the finished runs below ``folders`` to ``target`` and write their report there; return False if a run is damaged.

    Raises
    ------
    RunFolderError
        No run is finished, or the runs used different images.
    InvalidConfig
        Two runs would get the same path, or a path already holds a run with its weights.
    """
    check_keys(options.by)
    parts = (each for folder in folders for each in collect(folder, options.by, weights=False).values())
    found = combine(parts, options.by)
    if not found.runs:
        raise RunFolderError(f"{' '.join(map(str, folders))}: no run is finished, so there is nothing to publish")
    if conflict := found.data_conflict(" and ".join(map(str, folders))):
        raise RunFolderError(conflict)
    places = _places(found.runs, target)
    make_folder(target)
    images = _examples(found.runs, target, options)
    for place, run in places.items():
        publish_run(run, target / place, images)
    plan = without_folders(_plan(found, places), target.absolute())
    write_atomically(target / "plan.json", json.dumps(plan, indent=1) + "\n")
    undamaged = write_report(target, options=replace(options, page=False))
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    print(f"published {counted(len(places), 'run')} in {target}, {size / 1e6:.1f} MB")
    return undamaged and not any(each.damaged for each in found.missing)


def _places(runs: Sequence[Run], target: Path) -> dict[Path, Run]:
    places: dict[Path, Run] = {}
    for run in runs:
        place = Path(*run.folder.absolute().parts[-3:])
        other = places.setdefault(place, run)
        if other is not run:
            raise InvalidConfig(
                f"--publish {target}: {other.folder} and {run.folder} would share {place}; publish each study alone"
            )
        there = load_summary(target / place) if (target / place).is_dir() else None
        if there is not None and "published" not in there:
            raise InvalidConfig(
                f"--publish {target}: {target / place} holds a run with its weights; choose another folder"
            )
    return places


def _examples(runs: Sequence[Run], target: Path, options: Options) -> str | None:
    """Write the images of Figure 1; return the SHA-256 of their file, or None if the images are not available."""
    try:
        shown = examples.load_examples(runs, options.indices, options.seed, options.data_root)
    except examples.NoImages:
        if options.indices is not None:
            raise
        return None
    content = npz(indices=np.array([each.index for each in shown]), pixels=np.stack([each.pixels for each in shown]))
    write_atomically(target / examples.FILE, content)
    return hashlib.sha256(content).hexdigest()


def publish_run(run: Run, folder: Path, images: str | None) -> None:
    """Write the published files of a run into ``folder``; ``images`` is the SHA-256 of its study's ``examples.npz``."""
    make_folder(folder)
    before = run.summary.get("published") or {
        "summary_sha256": run.summary[CHECKSUM_KEY],
        "left_out_sha256": {},
        "command": provenance.command("pdenet_repro.report"),
        "git_commit": provenance.git_commit(),
    }
    content = {name: (run.folder / name).read_bytes() for name in COPIED if (run.folder / name).is_file()}
    original = dict(run.summary["files_sha256"])
    study = run.folder.absolute().parent.parent.parent
    content["config.yaml"] = _configuration(content["config.yaml"])
    if COMMAND in content:
        original[COMMAND] = hashlib.sha256(content[COMMAND]).hexdigest()
        typed = content[COMMAND].decode(errors="surrogateescape")
        content[COMMAND] = without_folders(typed, study).encode(errors="surrogateescape")
    content["predictions.npz"] = _predictions(run)
    files = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    left_out = {name: checksum for name, checksum in original.items() if files.get(name) != checksum}
    published = before | {"left_out_sha256": left_out | before["left_out_sha256"], "study_examples_sha256": images}
    summary: dict[str, Any] = {key: value for key, value in run.summary.items() if key != CHECKSUM_KEY}
    summary |= {"files_sha256": {name: files[name] for name in files if name != COMMAND}, "published": published}
    summary = without_folders(summary, study)
    for name, data in content.items():
        write_atomically(folder / name, data)
    summary[CHECKSUM_KEY] = checksum_of(summary)
    write_atomically(folder / "summary.json", json.dumps(summary, indent=2) + "\n")


def _configuration(content: bytes) -> bytes:
    """Return the content of ``config.yaml`` without the folders of absolute paths; as it is, if it has none."""

    def shortened(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shortened(each) for key, each in value.items()}
        return last_part(value) if isinstance(value, str) and value.startswith("/") else value

    settings = OmegaConf.to_container(OmegaConf.create(content.decode()))
    changed = shortened(settings)
    return content if changed == settings else OmegaConf.to_yaml(OmegaConf.create(changed)).encode()


def _predictions(run: Run) -> bytes:
    """Return the class probabilities in float16, and the predicted and true classes exactly, as a compressed file."""
    return npz(
        probabilities=run.probabilities.astype(np.float16),
        predicted=run.predicted,
        labels=run.labels,
        class_names=np.array(run.class_names),
    )


def _plan(found: Collection, places: dict[Path, Run]) -> dict[str, Any]:
    """Return the plan of the study: its runs, and the missing ones with the reason."""
    runs: list[dict[str, Any]] = [
        {"folder": place.as_posix(), "name": run.config.short_name, "configuration": dict(run.settings)}
        for place, run in places.items()
    ]
    for each in found.missing:
        place = Path(*each.folder.absolute().parts[-3:])
        study = f"{each.folder.parents[2]}/" if len(each.folder.parents) > 2 else ""
        known = {"dynamic": each.dynamic, "data.fraction": each.fraction, "variation": each.variation}
        name, reason = (words.replace(study, "") if study else words for words in (each.name, each.reason))
        configuration = known if each.dynamic else {}
        runs.append({"folder": place.as_posix(), "name": name, "configuration": configuration, "reason": reason})
    return {"command": "; ".join(dict.fromkeys(found.commands)), "runs": runs}
