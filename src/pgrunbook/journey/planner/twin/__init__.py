"""The planner twin: schema and statistics of a database on an embedded server, in files of the true sizes, no rows.

Takes a DSN of any database from 14 to 18, with whatever rights its role has; gives an engine whose planner sees what
the source's planner sees.  An index that is tried is created there for real, on an empty table, and given the size and
the statistics that it would have.  On the source nothing but reading happens.
"""

from pgrunbook.journey.planner.twin.agreement import Agreement, Compared, agreement
from pgrunbook.journey.planner.twin.engine import Twin, TwinTrial, open_twin

__all__ = ["Agreement", "Compared", "Twin", "TwinTrial", "agreement", "open_twin"]
