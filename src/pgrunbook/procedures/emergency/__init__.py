"""Emergencies: overload, runaway queries, connections that run out, sessions that idle.

Takes a DSN and thresholds; gives a report of every session: who is touched, why the others are not, and what became of
it.  It looks only, unless it is told to act; then it acts through journey.act, with the journal and its locks.
"""
