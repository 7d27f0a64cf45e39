"""One module a command: its name is the command's, its first line the summary, its `COMMAND` the command."""
