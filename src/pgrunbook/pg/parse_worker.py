"""The child process that parses SQL.  One JSON line in, one JSON line out.

SQL texts from a database are hostile: the grammar's C code can overflow its stack on them and take its process along.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict, ParseDict  # noqa: PLC0415 - only the child pays for these
    from google.protobuf.message import DecodeError  # noqa: PLC0415
    from postgast import ParseResult, PgQueryError, deparse, fingerprint, normalize, parse  # noqa: PLC0415

    sql = request["sql"]
    try:
        match request["want"]:
            case "tree":
                return {"ok": MessageToDict(parse(sql), preserving_proto_field_name=True).get("stmts", [])}
            case "normalized":
                return {"ok": normalize(sql)}
            case "fingerprint":
                return {"ok": fingerprint(sql).hex}
            case "deparse":
                return {"ok": deparse(ParseDict({"stmts": [{"stmt": json.loads(sql)}]}, ParseResult()))}
            case other:
                return {"error": f"unknown request {other}"}
    except DecodeError:  # a hundred messages within each other, which is fifty operators or so
        return {"error": "nested too deeply"}
    except (PgQueryError, RecursionError, ValueError) as exc:
        return {"error": str(exc).splitlines()[0] if str(exc) else type(exc).__name__}


def main() -> None:
    """Answer until the parent closes our standard input."""
    sys.setrecursionlimit(20_000)
    for line in sys.stdin:
        try:
            reply = json.dumps(_answer(json.loads(line)))
        except RecursionError:
            reply = json.dumps({"error": "nested too deeply"})
        sys.stdout.write(reply + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
