"""The cases, a module a family."""
