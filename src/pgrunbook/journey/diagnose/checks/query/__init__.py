"""Statements of the workload."""
