"""Parsing of SQL texts in a child process, behind one small interface; the parser library is known nowhere else.

A text that is too long, does not parse or kills the child gives ParseFailed for that text alone; the next is parsed.
Starting the child takes longer than parsing most workloads, so one that is no longer needed rests until the next parser
takes it over.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeAlias

MAX_BYTES = 32_768  # 80 kB of "1+1+…" overflows the grammar's stack; nothing of interest is longer than this
Tree: TypeAlias = Mapping[str, Any]


class ParseFailed(ValueError):
    """One text has no parse tree; the message says why."""


_Child: TypeAlias = "subprocess.Popen[str]"
_resting: list[_Child] = []  # one at most


def _end(child: _Child) -> None:
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    child.kill()
    child.wait()


@atexit.register
def _end_the_resting() -> None:
    while _resting:
        _end(_resting.pop())


class Parser:
    """A child process that parses, started when first needed.  Use it as a context manager, from one thread."""

    def __init__(self) -> None:
        self._child: _Child | None = None
        self._is_asked = False  # an interrupt leaves this set: an answer to nobody is on its way

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the child process rest, or end it when another rests already or an answer of it was not read."""
        child, self._child = self._child, None
        if child is None:
            return
        if self._is_asked or _resting:
            self._is_asked = False
            _end(child)
        else:
            _resting.append(child)

    def statements(self, sql: str) -> Sequence[Tree]:
        """The parse tree of each statement in `sql`, in PostgreSQL's own node names (snake case), defaults left out.

        Each tree is a mapping of one key, the node's type: `{"select_stmt": {…}}`.
        """
        return tuple(raw["stmt"] for raw in self._ask("tree", sql) if "stmt" in raw)

    def statement(self, sql: str) -> Tree:
        """The parse tree of the only statement in `sql`."""
        found = self.statements(sql)
        if len(found) != 1:
            raise ParseFailed(f"{len(found)} statements where one was expected")
        return found[0]

    def expression(self, sql: str) -> Tree:
        """The parse tree of one expression, such as a policy's USING clause or an index's predicate."""
        tree = self.statement(f"SELECT ({sql})")
        target: Tree = tree["select_stmt"]["target_list"][0]["res_target"]["val"]
        return target

    def normalized(self, sql: str) -> str:
        """The statement with its constants replaced by $1, $2 and so on."""
        return str(self._ask("normalized", sql))

    def fingerprint(self, sql: str) -> str:
        """A hash that is equal for statements that differ in constants only."""
        return str(self._ask("fingerprint", sql))

    def text(self, expression: Tree) -> str:
        """The SQL text of one expression's tree: what `expression` reads, `text` writes."""
        target = {"res_target": {"val": expression}}
        select = {"target_list": [target], "limit_option": "LIMIT_OPTION_DEFAULT", "op": "SETOP_NONE"}
        statement = str(self._ask("deparse", json.dumps({"select_stmt": select})))
        return statement.removeprefix("SELECT ")

    def sql(self, statement: Tree) -> str:
        """The SQL text of one statement's tree: what `statement` reads, `sql` writes."""
        return str(self._ask("deparse", json.dumps(statement)))

    def _ask(self, want: str, sql: str) -> Any:
        if len(sql.encode("utf-8", "replace")) > MAX_BYTES:
            raise ParseFailed(f"longer than {MAX_BYTES} bytes")
        child = self._running()
        request = json.dumps({"want": want, "sql": sql.encode("utf-8", "replace").decode()})
        self._is_asked = True
        try:
            child.stdin.write(request + "\n")  # type: ignore[union-attr]  # opened with a pipe
            child.stdin.flush()  # type: ignore[union-attr]  # opened with a pipe
            line = child.stdout.readline()  # type: ignore[union-attr]  # opened with a pipe
        except (BrokenPipeError, OSError):
            line = ""
        if not line:
            self.close()
            raise ParseFailed("the parser died on it")
        self._is_asked = False
        reply = json.loads(line)
        if "error" in reply:
            raise ParseFailed(reply["error"])
        return reply["ok"]

    def _running(self) -> _Child:
        if self._child is None and _resting:
            self._child = _resting.pop()
        if self._child is not None and self._child.poll() is not None:
            _end(self._child)
            self._child = None
        if self._child is None:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "pgrunbook.pg.parse_worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                encoding="utf-8",
                start_new_session=True,  # Ctrl-C reaches us, and we end it
            )
        return self._child
