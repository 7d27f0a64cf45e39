"""One self-contained page: style and script inside, nothing fetched, and a policy that forbids it to fetch anything."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import Any

from pgrunbook.report.json import dumps
from pgrunbook.report.markup import Content, Markup, tag

DATA_PLAIN_MAX_CHARS = 60_000  # beyond it the embedded data is compressed, so that the page stays small

_SCRIPT = """\
for (const pre of document.querySelectorAll("pre.sql")) {
  const button = document.createElement("button");
  const text = pre.textContent;
  button.className = "copy"; button.type = "button"; button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; }
    catch { button.textContent = "Select it"; }
  });
  if (navigator.clipboard) pre.prepend(button);
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => (one.open = true)));
"""


@cache
def style() -> str:
    """The style sheet that every page shares."""
    return files("pgrunbook.report").joinpath("page.css").read_text(encoding="utf-8")


def page(title: str, *content: Content, data: Any = None, data_id: str = "data") -> str:
    """The whole document; `data` rides along as JSON, so that the page is data, too."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy()),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("link", rel="icon", href="data:,"),
        Markup(f"<style>{style()}</style>"),
    )
    script = Markup(f"<script>{_SCRIPT}</script>")
    embedded = _embedded(data, data_id) if data is not None else None
    body = tag("body", tag("main", *content), embedded, script)
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _policy() -> str:
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:;"
        " base-uri 'none'; form-action 'none'"
    )


def _embedded(data: Any, data_id: str) -> Markup:
    text = json.dumps(json.loads(dumps(data)), ensure_ascii=True, separators=(",", ":"))
    if len(text) > DATA_PLAIN_MAX_CHARS:
        packed = base64.b64encode(gzip.compress(text.encode("ascii"), mtime=0)).decode()
        return Markup(f'<script type="application/gzip+base64" id="{data_id}">{packed}</script>')
    harmless = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Markup(f'<script type="application/json" id="{data_id}">{harmless}</script>')


def tile(name: str, value: str, *, unit: str = "", tone: str = "", spark: Markup | None = None) -> Markup:
    """A figure in large letters."""
    return tag(
        "div",
        tag("div", name, class_="k"),
        tag("div", value, tag("small", unit) if unit else None, class_="v"),
        spark,
        class_=f"tile {tone}".strip(),
    )


def brand() -> Markup:
    """The name on top."""
    return tag("div", "pg", tag("i", "runbook"), class_="brand")
