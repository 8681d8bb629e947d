"""Every relative link and every code path in README, CONTRIBUTING and docs leads to something in the repository."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "pdenet_repro"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
# Files that the reader is to write.
WRITTEN_BY_THE_READER = {"adding-a-dynamic.md"}


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def links(page: Path) -> list[str]:
    """Targets of links and pictures, without code blocks."""
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    return re.findall(r"\]\(([^)\s]+)\)", prose)


def heading_anchors(page: Path) -> set[str]:
    """What a link may have after #, as repository hosts make it of a heading."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_relative_links_lead_to_something(page):
    broken = []
    for target in links(page):
        if re.match(r"https?://|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        if not found.exists() or (anchor and anchor not in heading_anchors(found)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in WRITTEN_BY_THE_READER], ids=name)
def test_code_paths_exist(page):
    """Paths with a folder that name a file of the repository's own kinds, from its top or from the package's."""
    code = re.findall(r"(?<![\w./~<-])((?:[\w-]+/)+[\w-]+\.(?:py|sh|yaml|toml|npz|md))(?::+(\w+))?", page.read_text())
    missing = []
    for path, part in code:
        places = [folder / path for folder in (ROOT, PACKAGE, page.parent) if (folder / path).is_file()]
        if not places or (part and not re.search(rf"\b(def|class) {part}\b", places[0].read_text())):
            missing.append(path + (f"::{part}" if part else ""))
    assert missing == []


def test_every_page_can_be_reached_from_the_readme():
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in seen and page.suffix == ".md" and page.is_file():
            seen.add(page)
            waiting += [(page.parent / target.partition("#")[0]).resolve() for target in links(page)]
    outside = {"CHANGELOG.md", "package.md"}  # the log of versions, and the page of an index
    assert {page for page in PAGES if page.name not in outside} <= seen
