"""The schema of somebody's database on a throw-away server: for rehearsals, and for the twin that plans.

Takes a connection to the database and a running `Cluster`; gives a database on it with the same roles, objects,
policies and grants but without rows, passwords, subscriptions, event triggers and foreign servers, and the list of what
could not be copied.  The source is only read, under ACCESS SHARE locks that give way to whoever waits for them.
"""

from pgrunbook.lab.schema.copy import SchemaCopy, copy_schema, plain_dump
from pgrunbook.lab.schema.dump import LeftOut
from pgrunbook.lab.schema.rows import CopiedRows, copy_rows

__all__ = ["CopiedRows", "LeftOut", "SchemaCopy", "copy_rows", "copy_schema", "plain_dump"]
