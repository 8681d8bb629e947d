"""Read the results of a study's analyses, ``analysis/KIND.json`` and pictures, for its report; they may be damaged."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class PageFigure:
    """A figure of the page: heading, caption, PNG, a line about its runs, and its origin as (term, description) pairs."""

    heading: str
    caption: str
    png: bytes
    line: str = ""
    origin: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Analysis:
    """The results of one kind of analysis, as read from its files."""

    kind: str
    meaning: str
    sentences: list[str]
    pictures: list[PageFigure]
    tables: list[str]  # paths of its CSV files below the study
    origin: Mapping[str, str]  # command, commit, networks, versions
    foreign: list[str]  # folders of analysed networks that are not among the runs of the page


def read(study: Path, runs: Sequence[Path] = ()) -> tuple[list[Analysis], list[str]]:
    """Return the analyses of a study, sorted by kind, and a sentence for each that cannot be read.

    ``runs`` are the folders of the runs on the page; each analysis lists its networks from other folders as ``foreign``.
    """
    known = {folder.absolute().parts[-3:] for folder in runs}
    found, complaints = [], []
    for path in sorted((study / "analysis").glob("*.json")):
        try:
            found.append(_read(path, known))
        except OSError as error:
            complaints.append(f"{error.filename or path} cannot be read ({error.strerror}); repeat the analysis")
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            complaints.append(f"{path} is damaged ({type(error).__name__}: {error}); repeat the analysis")
    return found, complaints


def _read(path: Path, known: set[tuple[str, ...]]) -> Analysis:
    content: dict[str, Any] = json.loads(path.read_bytes())
    pictures = []
    for name, words in content["pictures"].items():
        png = path.with_name(f"{name}.png").read_bytes()
        if not (png.startswith(b"\x89PNG") and png.endswith(b"IEND\xaeB`\x82")):
            raise ValueError(f"{name}.png is no complete PNG file")
        pictures.append(PageFigure(str(words["heading"]), str(words["caption"]), png))
    origin = {
        "command": str(content["command"]),
        "commit": str(content["git_commit"] or ""),
        "networks": ", ".join(f"{each['name']} ({each['folder']})" for each in content["networks"]),
        "versions": ", ".join(f"{name} {version}" for name, version in content["versions"].items()),
    }
    folders = [str(each["folder"]) for each in content["networks"]]
    return Analysis(
        foreign=[folder for folder in folders if known and folder and Path(folder).parts[-3:] not in known],
        kind=str(content["kind"]),
        meaning=str(content["meaning"]),
        sentences=[str(sentence) for sentence in content["sentences"]],
        pictures=pictures,
        tables=[f"analysis/{name}.csv" for name in content["tables"]],
        origin=origin,
    )
