"""The page in headless Chromium, at laptop and phone width (scripts/install_test_tools.sh installs Debian's; skipped without)."""

import html
import json
import re
import shutil
import subprocess

import pytest
from test_analyses import leave
from waiting import PATIENCE

from pdenet_repro.cli.report import main

pytestmark = [
    pytest.mark.slow,
    pytest.mark.pictures,
    pytest.mark.skipif(not shutil.which("chromium"), reason="needs Chromium"),
]

CHROMIUM = (
    "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--allow-file-access-from-files", "--virtual-time-budget=5000",
)  # fmt: skip

# Loads the page in a frame of a given width, and writes what it finds there into the document.
PROBE = """<body><iframe id="page" src="{page}" style="width:{width}px;height:900px;border:0"></iframe>
<pre id="found"></pre><script>
document.getElementById("page").onload = (event) => {{
  const page = event.target.contentDocument;
  const pictures = [...page.images].map(i => [i.naturalWidth, i.getBoundingClientRect().width]);
  const overflow = page.documentElement.scrollWidth - page.documentElement.clientWidth;
  const fonts = [...page.querySelectorAll("p, td, dd, figcaption")].map(e => parseFloat(getComputedStyle(e).fontSize));
  const links = [...page.querySelectorAll("nav a")].map(a => !!page.querySelector(a.getAttribute("href")));
  const requested = [...page.querySelectorAll("[src], [href]")].map(e => e.getAttribute("src") || e.getAttribute("href"))
    .filter(name => !/^(data:|#)/.test(name));
  page.querySelectorAll("details").forEach(d => d.open = true);
  const open = page.documentElement.scrollWidth - page.documentElement.clientWidth;
  document.getElementById("found").textContent = JSON.stringify({{
    title: page.title, pictures, overflow, open, requested, links, smallest: Math.min(...fonts),
    tables: page.querySelectorAll("table").length, runs: page.querySelectorAll("details").length }});
}};
</script></body>"""


def look(page, width, tmp_path):
    probe = page.with_name(f"probe-{width}.html")
    probe.write_text(PROBE.format(page=page.name, width=width))
    done = subprocess.run(
        [*CHROMIUM, f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,1000", "--dump-dom", probe.as_uri()],
        capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    found = re.search(r'<pre id="found">(.+?)</pre>', done.stdout, re.S)
    assert found, done.stderr
    return json.loads(html.unescape(found[1]))


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_and_asks_for_nothing(study, tmp_path, width):
    leave(study, "energy", "spectrum")
    assert main([str(study)]) == 0
    found = look(study / "report.html", width, tmp_path)
    assert found["title"] == "made: networks motivated by partial differential equations"
    assert len(found["pictures"]) == 6
    assert all(natural > 900 for natural, _ in found["pictures"])
    assert (found["overflow"], found["open"]) == (0, 0)  # tables and pictures scroll by themselves
    assert found["requested"] == []
    assert found["links"] == [True] * 10
    assert found["smallest"] >= 13
    assert found["tables"] == 4
    assert found["runs"] == 9 + 2 + 4 + 4  # and where analyses, figures and tables come from
    if width == 1280:
        assert all(shown > 800 for _, shown in found["pictures"])


def test_the_probe_would_notice(tmp_path):
    page = tmp_path / "bad.html"
    page.write_text(
        "<title>bad</title><nav><a href='#gone'>x</a></nav><p style='font-size:8px;width:3000px'>wide</p>"
        "<img src='picture.png'>"
    )
    found = look(page, 390, tmp_path)
    assert found["overflow"] > 1000
    assert found["requested"] == ["picture.png"]
    assert found["links"] == [False]
    assert found["smallest"] == 8
    assert found["pictures"][0][0] == 0
