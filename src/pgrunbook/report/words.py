"""Numbers and evidence as people read them; the unit is the end of the name."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Mapping

from pgrunbook.model import Value

TEXT_MAX_CHARS = 3_000  # of one text on a page; a query may be a megabyte long
_BYTES = ("B", "kB", "MB", "GB", "TB", "PB")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def size(size_bytes: float) -> str:
    """Bytes in PostgreSQL's units of 1024.

    >>> size(16384), size(5 * 1024**3)
    ('16 kB', '5.0 GB')
    """
    value, unit = float(size_bytes), 0
    while abs(value) >= 1024 and unit < len(_BYTES) - 1:
        value, unit = value / 1024, unit + 1
    digits = 0 if unit < 2 or abs(value) >= 100 else 1
    return f"{value:.{digits}f} {_BYTES[unit]}"


def duration(seconds: float) -> str:
    """A length of time in its two largest sensible units.

    >>> duration(0.0042), duration(2.5), duration(95), duration(7 * 3600), duration(3 * 86400)
    ('4.2 ms', '2.5 s', '1 min 35 s', '7 h', '3 d')
    """
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    for unit, name, below, below_name in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if seconds >= unit:
            whole, rest = divmod(round(seconds), unit)
            part = rest // below
            return f"{whole} {name}" + (f" {part} {below_name}" if part else "")
    raise AssertionError("unreachable")


def number(value: float) -> str:
    """A count with thin groups.

    >>> number(1234567), number(0.25)
    ('1,234,567', '0.25')
    """
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.3g}"


def figure(name: str, value: Value) -> str:
    """A value with the unit that its name ends in.

    >>> figure("size_bytes", 2048), figure("dead_ratio", 0.256), figure("age_s", 90), figure("mean_ms", 1.5)
    ('2 kB', '26 %', '1 min 30 s', '1.5 ms')
    """
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(figure("", item) for item in value)
    if isinstance(value, str):
        return clean(value)
    if not math.isfinite(value):
        return "unknown"
    if name.endswith("_bytes"):
        return size(value)
    if name.endswith("_bytes_per_s"):
        return f"{size(value)}/s"
    if name.endswith("_per_s"):
        return f"{number(value)}/s"
    if name.endswith("_ratio"):
        return f"{value * 100:.3g} %" if value < 0.1 else f"{value * 100:.0f} %"
    if name.endswith("_ms"):
        return duration(value / 1000)
    if name.endswith("_s"):
        return duration(value)
    return number(value)


_UNITS = ("_bytes_per_s", "_per_s", "_bytes", "_ratio", "_ms", "_s")


def label(name: str) -> str:
    """What a figure is called on a page: its name without the unit.

    >>> label("dead_ratio"), label("last_scan_age_s"), label("calls_per_s"), label("p95_ms")
    ('dead', 'last scan age', 'calls', 'P95')
    """
    unit = next((unit for unit in _UNITS if name.endswith(unit) and name != unit[1:]), "")
    return re.sub(r"\bp(\d\d)\b", r"P\1", name.removesuffix(unit).replace("_", " "))


def figures(values: Mapping[str, Value]) -> str:
    """Figures in one line; what was before and what comes after stand together.

    >>> figures({"p95_before_ms": 812, "p95_after_ms": 9, "build_s": 41, "gone": None})
    'P95 812 ms → 9 ms · build 41 s'
    """
    parts = []
    for name, value in values.items():
        after = re.sub(r"(^|_)before(?=_|$)", r"\1after", name)
        if after != name and values.get(after) is not None and value is not None:
            shared = label(re.sub(r"_?before(?=_|$)", "", name).removeprefix("_"))
            parts.append(f"{shared} {figure(name, value)} → {figure(after, values[after])}".strip())
        elif value is not None and re.sub(r"(^|_)after(?=_|$)", r"\1before", name) not in values.keys() - {name}:
            parts.append(f"{label(name)} {figure(name, value)}")
    return " · ".join(parts)


def counted(amount: int, singular: str, plural: str = "") -> str:
    """A count with its noun.

    >>> counted(1, "warning"), counted(2, "warning"), counted(1200, "index", "indexes")
    ('1 warning', '2 warnings', '1,200 indexes')
    """
    return f"{amount:,} {singular if amount == 1 else plural or singular + 's'}"


def clean(text: str) -> str:
    """Text from a database without control characters, bidirectional marks and broken bytes (they become �)."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def one_line(text: str) -> str:
    r"""Cleaned text on one line; a line end in a name is shown as what it is.

    >>> one_line("a\nb\tc")
    'a↵b c'
    """
    return clean(text).replace("\n", "↵").replace("\t", " ")


def short(text: str, max_chars: int = TEXT_MAX_CHARS) -> str:
    """A text that may be a megabyte long, cut with its length.

    >>> short("abcdef", 3)
    'abc … (6 characters)'
    """
    return text if len(text) <= max_chars else f"{text[:max_chars]} … ({len(text):,} characters)"


class _Figures(string.Formatter):
    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values

    def figures(self, template: str) -> list[str]:
        return [name for _, name, _, _ in self.parse(template) if name]

    def sentence(self, template: str) -> str | None:
        fields = self.figures(template)
        if any(self._values.get(name) is None for name in fields):
            return None
        return template.format_map({name: figure(name, self._values[name]) for name in fields})


def sentences(template: str, values: Mapping[str, Value]) -> str:
    """Fill a check's `Says:` template; a sentence with a figure that is missing or None is left out.

    Of one with a colon or semicolon the first half stays, unless it is a colon's and has no figure of its own.

    >>> sentences("It has {rows} rows.  It wastes {waste_bytes}.", {"rows": 3})
    'It has 3 rows.'
    >>> sentences("It ran {calls} times: {query}.  It last said: {query}.", {"calls": 3})
    'It ran 3 times.'
    """
    filler = _Figures(values)
    said: list[str] = []
    for sentence in re.split(r"(?<=[.])\s+", " ".join(template.split())):
        parts = re.split(r"(?<=[;:])\s+", sentence)
        filled = [filler.sentence(part) for part in parts]
        while len(filled) > 1 and filled[-1] is None:
            filled.pop()
            announced = filled[-1]
            if announced is not None:
                is_empty = announced.endswith(":") and not filler.figures(parts[len(filled) - 1])
                filled[-1] = None if is_empty else f"{announced[:-1]}."
        said += [text for text in filled if text]
    return " ".join(said)
