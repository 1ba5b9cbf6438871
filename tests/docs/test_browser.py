"""The book in a real browser: no errors, every formula and picture shown, nothing wider than a phone. `pytest -m long tests/docs/test_browser.py`."""

import functools
import http.server
import json
import queue
import shutil
import subprocess
import threading

import pytest

from docs.build import site as build
from docs.build.chapters import PAGES

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PROBE = """<!doctype html><meta charset="utf-8"><body><script>
const pages = %s, found = {};
const bright = (colour) => colour.match(/[0-9.]+/g).slice(0, 3).reduce((sum, each) => sum + Number(each), 0) / 765;
async function look(page, width, theme) {
  localStorage.setItem("theme", theme);
  const frame = document.createElement("iframe");
  frame.style = `width: ${width}px; height: 900px; border: 0`;
  frame.src = page;
  document.body.append(frame);
  await new Promise((done) => { frame.onload = done; });
  const inside = frame.contentDocument;
  for (const each of inside.querySelectorAll("details")) each.open = true;
  for (const each of inside.images) each.loading = "eager";
  const shown = [...inside.images].filter((each) => frame.contentWindow.getComputedStyle(each).display !== "none");
  await Promise.all(shown.map((each) => each.decode().catch(() => {})));
  const flat = [...inside.querySelectorAll("math")].filter((each) => { const box = each.getBoundingClientRect(); return !(box.width > 2 && box.height > 4); });
  const result = { over: inside.documentElement.scrollWidth - width, formulas: inside.querySelectorAll("math").length, flat: flat.length,
    errors: inside.querySelectorAll("merror").length, pictures: shown.length, broken: shown.filter((each) => !each.naturalWidth).length,
    wide: [...inside.querySelectorAll("main *")].filter((each) => each.getBoundingClientRect().right > width + 1 && !each.closest(".wide, pre, figure, .math.block, .long")).map((each) => each.outerHTML.slice(0, 80)).slice(0, 3) };
  const blocks = [...inside.querySelectorAll("main pre.code")];
  result.cut = blocks.filter((each) => each.scrollWidth > each.clientWidth + 1).map((each) => each.textContent.slice(0, 60)).slice(0, 3);
  result.buttons = blocks.length - inside.querySelectorAll("main .copy").length;
  const slab = (each) => each.src.endsWith(".png") && frame.contentWindow.getComputedStyle(each).filter === "none";
  result.slabs = theme === "dark" ? shown.filter(slab).length : 0;
  const style = frame.contentWindow.getComputedStyle(inside.body), menu = inside.getElementById("menu"), nav = inside.querySelector("nav");
  const open = () => frame.contentWindow.getComputedStyle(nav).display !== "none";
  result.contrast = (bright(style.color) - bright(style.backgroundColor)) * (theme === "dark" ? 1 : -1);
  result.other = shown.filter((each) => each.classList.contains(theme === "dark" ? "on-light" : "on-dark")).length;
  result.menu = open();
  menu.click();
  result.opened = open();
  menu.click();
  const box = inside.getElementById("search");
  box.value = "posterior";
  box.oninput();
  result.hits = inside.querySelectorAll("#search-results a").length;
  frame.remove();
  return result;
}
(async () => {
  for (const page of pages) {
    found[page] = [await look(page, 390, "light")];
    if (!page.startsWith("source/")) found[page].push(await look(page, 1280, "light"), await look(page, 390, "dark"));
  }
  await fetch("found", { method: "POST", body: JSON.stringify(found) });
})();
</script>"""


class Site(http.server.ThreadingHTTPServer):
    """A folder served at a port of its own, which keeps what is posted to it."""

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), functools.partial(Pages, directory=str(folder)))
        self.posted = queue.Queue()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Pages(http.server.SimpleHTTPRequestHandler):
    def do_POST(self):
        self.server.posted.put(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.mark.long
@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome")
def test_the_site_in_a_browser(tmp_path):
    """Every page at phone and desk width, light and dark: formulas and pictures have a size, text stands out, the menu opens, search answers.

    Nothing scrolls sideways, every block of code fits its box and has a button that copies it, no picture is a white slab on a dark page,
    and the console is silent; the pages of the source are among them.
    """
    build.build(tmp_path)
    pages = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.html")]
    (tmp_path / "probe.html").write_text(PROBE % json.dumps(pages))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}"]
    with Site(tmp_path) as site, open(tmp_path / "log", "w+") as log:
        with subprocess.Popen([BROWSER, *flags, f"http://127.0.0.1:{site.server_port}/probe.html"], stdout=log, stderr=log) as browser:
            try:
                found = json.loads(site.posted.get(timeout=600))
            finally:
                browser.terminate()
                site.shutdown()
        log.seek(0)
        assert [line for line in log if "CONSOLE" in line] == []
    assert set(found) == set(pages) >= {f"{page}.html" for page in PAGES} and len(pages) > len(PAGES)
    for page, views in found.items():
        for view in views:
            wrong = view["over"] > 0 or view["wide"] or view["flat"] + view["errors"] + view["broken"] + view["other"] or view["hits"] < 4
            wrong = wrong or view["cut"] or view["buttons"] or view["slabs"]
            assert not wrong and view["contrast"] > 0.6 and view["opened"], f"{page}: {view}"
        assert [view["menu"] for view in views] == [False, True, False][: len(views)], page
    assert sum(views[0]["formulas"] for views in found.values()) > 400
    assert sum(views[0]["pictures"] for views in found.values()) > 14
