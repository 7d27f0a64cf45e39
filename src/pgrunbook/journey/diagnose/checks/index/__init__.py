"""Indexes that are missing, useless, broken or too many."""
