"""Runbook pages that `--explain` prints."""
