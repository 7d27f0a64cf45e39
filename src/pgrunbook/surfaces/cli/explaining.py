"""What `pgrunbook explain` does: sorts its words, asks the query advisor, prints what it says."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from pgrunbook.errors import UsageError
from pgrunbook.journey.advise.queries.advisor import Wish, explain
from pgrunbook.journey.advise.queries.costing import costed
from pgrunbook.model.explanation import Explanation
from pgrunbook.pg.connect import connect, resolve_dsn
from pgrunbook.report import explanation as reports
from pgrunbook.surfaces.cli.command import Invocation
from pgrunbook.surfaces.cli.exits import Exit
from pgrunbook.surfaces.cli.output import busy, text_console, write, write_file

_URI = re.compile(r"postgres(ql)?://\S*\Z")
_KEYWORDS = "host|hostaddr|port|dbname|user|password|service|sslmode|options|application_name|connect_timeout|passfile"
_PAIRS = re.compile(rf"\s*({_KEYWORDS}|ssl\w+|target_session_attrs)\s*=", re.IGNORECASE)
_QUERYID = re.compile(r"-?\d{1,20}\Z")
_FORM_OF_SUFFIX = {".json": "json", ".md": "markdown", ".html": "html", ".htm": "html"}


def run(
    invocation: Invocation,
    words: tuple[str, ...],
    *,
    dsn_flag: str | None,
    analyze: bool,
    compare: bool,
    role: str | None,
    as_superuser: bool,
    timeout_s: float,
    engine: str,
    form: str | None,
    output: Path | None,
) -> int:
    """Explain one statement."""
    if role is not None and as_superuser:
        raise UsageError("--role and --as-superuser exclude each other")
    dsn, text, file, queryid = sort_out(words)
    wish = Wish(
        text=text,
        file=file,
        queryid=queryid,
        role=role,
        as_superuser=as_superuser,
        analyze=analyze,
        compare=compare,
        timeout_s=timeout_s,
    )
    target = resolve_dsn(dsn, dsn_flag)
    with busy(invocation, "running it …" if analyze else "planning …"):
        found = explain(target, wish)
        if engine != "none" and any(one.cures for one in found.insights):
            with connect(target, station="explain") as source:
                found = costed(found, source, target, wanted=engine, role=role or found.asked.role)
    chosen = form or (_FORM_OF_SUFFIX.get(output.suffix.lower(), "text") if output is not None else "text")
    drawn = _rendered(found, chosen, invocation, to_file=output is not None)
    if output is None:
        write(drawn)
    else:
        write_file(output, drawn)
    return Exit.FINE


def sort_out(words: Sequence[str]) -> tuple[str | None, str | None, Path | None, int | None]:
    """Which word is the DSN, and what the other is: a statement's text, a file, or a queryid.

    >>> sort_out(["host=db dbname=shop", "-51277"])
    ('host=db dbname=shop', None, None, -51277)
    >>> sort_out(["select * from t where host = 'a'"])
    (None, "select * from t where host = 'a'", None, None)
    """
    unknown = [word for word in words if word.startswith("--") and " " not in word.strip()]
    if unknown:
        raise UsageError(f"no such option: {unknown[0]}", hint="pgrunbook explain --help")
    dsns = [word for word in words if _is_dsn(word)]
    rest = [word for word in words if not _is_dsn(word)]
    if len(dsns) > 1:
        raise UsageError("more than one DSN was given")
    if len(rest) != 1:
        raise UsageError(
            "explain takes one statement" if rest else "there is no statement to explain",
            hint="Give its text in quotes, a file, a queryid of pg_stat_statements, or - for standard input.",
        )
    (word,) = rest
    dsn = dsns[0] if dsns else None
    if word == "-":
        return dsn, sys.stdin.read(), None, None
    if _QUERYID.match(word):
        return dsn, None, None, int(word)
    if _is_file(word):
        return dsn, None, Path(word), None
    return dsn, word, None, None


def _is_dsn(word: str) -> bool:
    return bool(_URI.match(word) or _PAIRS.match(word))


def _is_file(word: str) -> bool:
    """A name without spaces that ends as files of SQL do, or that exists."""
    if "\n" in word or len(word) > 1000:
        return False
    if word.lower().endswith(".sql") and " " not in word.strip():
        return True
    return Path(word).is_file()


def _rendered(found: Explanation, form: str, invocation: Invocation, *, to_file: bool) -> str:
    if form == "json":
        return reports.render_json(found)
    if form == "markdown":
        return reports.render_markdown(found)
    if form == "html":
        from pgrunbook.report import explanation_html  # noqa: PLC0415 - one renderer is needed, not all

        return explanation_html.render(found)
    from pgrunbook.report import explanation_terminal  # noqa: PLC0415 - rich is needed for this format only

    console, drawn = text_console(invocation, to_file=to_file)
    explanation_terminal.render(found, console)
    return drawn.getvalue()
