"""The query advisor: one statement → its plan, what is wrong with it, and what else would give the same rows for less.

`insights/` read the plan, a file each; `rewrites/` change the statement's parse tree, a file each, and name the catalog
facts by which the result stays the same.  Nothing is written to the database.
"""
