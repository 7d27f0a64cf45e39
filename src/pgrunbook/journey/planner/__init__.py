"""What would the planner do, were there another index?  Takes a database, statements, indexes; changes nothing there.

One protocol (`engine`), two engines: `twin` rebuilds schema and statistics on an embedded server, `hypopg` asks the
database itself where that extension is installed.
"""
