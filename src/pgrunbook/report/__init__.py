"""Pure functions from values to words, charts and pages.  Nothing here asks a server."""
