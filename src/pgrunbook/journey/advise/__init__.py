"""Findings → Advice: which steps would help, what they cost, and what was declined."""
