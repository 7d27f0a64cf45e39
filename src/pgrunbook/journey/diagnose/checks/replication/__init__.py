"""Replicas, slots, WAL and its archive."""
