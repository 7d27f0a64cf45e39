"""What people and programs touch: command line, web pages.  Surfaces parse and print; they never judge."""
