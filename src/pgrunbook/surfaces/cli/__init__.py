"""The command line: one module a command in commands/, imported only when it is called.  stdout data, stderr words."""
