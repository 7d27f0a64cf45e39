"""Load with real concurrency: so many users who think, ask and wait, driven by pgbench.

Takes a `LoadSpec` and a DSN; gives a `LoadResult` (percentiles, throughput, failed and unfinished work), or a
`RunningLoad` that can be asked for its figures while it goes on.
"""

from pgrunbook.procedures.load.figures import LoadResult, Point, ScriptResult
from pgrunbook.procedures.load.running import RunningLoad, run_load
from pgrunbook.procedures.load.spec import LoadSpec, Script

__all__ = ["LoadResult", "LoadSpec", "Point", "RunningLoad", "Script", "ScriptResult", "run_load"]
