"""Leave a machine's folders out of what is published: in absolute paths ``FOLDER`` stands for them.

Relative paths, paths that begin with ``~``, and addresses on the web stay as they are.
"""

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

STANDS_FOR_FOLDERS = "FOLDER"
# A path begins at a slash at the beginning of the text or after one of these characters, unless it is that of https://
BEGINNING = r"""(?<![^\s'"`=,;:|<>(){}\[\]])(?:(?<!:)/+|(?<=:)/(?!/)|(?<=:)///)(?=[^\s/'"])"""
APOSTROPHE = """'"'"'"""  # as shlex.quote writes an apostrophe within a quoted word
QUOTED = re.compile(rf"(?<!\w)'(?:{APOSTROPHE}|[^'])*'")
# In quotes a path may contain blanks and commas, but not before a slash, where the next path begins.
PATH_IN_QUOTES = re.compile(rf"{BEGINNING}(?:{APOSTROPHE}|[^'\s,]|[\s,](?!/))*")
PATH = re.compile(rf"""{BEGINNING}[^\s'"`,;:|<>(){{}}\[\]]*""")


def without_folders(value: Any, study: Path) -> Any:
    """Return a value in whose texts no absolute path names a folder of the machine; mappings, lists and records are copied.

    A path in the absolute folder ``study`` keeps what follows the folder's parent, as in
    ``FOLDER/STUDY/parabolic/fraction-0.10/seed-0``; any other path keeps its last part, as in ``data.root=FOLDER/data``.
    """
    if isinstance(value, str):
        return _in_text(value, study)
    if isinstance(value, Mapping):
        return {key: without_folders(each, study) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(without_folders(each, study) for each in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value, **{each.name: without_folders(getattr(value, each.name), study) for each in fields(value)}
        )
    return value


def last_part(path: str) -> str:
    """Return an absolute path as ``FOLDER/`` and its last part."""
    return f"{STANDS_FOR_FOLDERS}/{path.rstrip('/').rpartition('/')[2]}"


def _in_text(text: str, study: Path) -> str:
    if "/" not in text:
        return text
    if study.name:
        for path in {str(study), str(study).replace("'", APOSTROPHE)}:
            own = rf"(?<![\w.~/-]){re.escape(path)}(?![\w.-])"
            text = re.sub(own, lambda found: last_part(found[0]), text)
    text = QUOTED.sub(lambda quoted: PATH_IN_QUOTES.sub(lambda found: last_part(found[0]), quoted[0]), text)
    return PATH.sub(lambda found: last_part(found[0]), text)
