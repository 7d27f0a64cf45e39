"""The only place that talks to a PostgreSQL server or knows the SQL grammar.

Takes DSNs, SQL files and statement texts; gives connections, rows, parse trees, and our own errors for the driver's.
"""
