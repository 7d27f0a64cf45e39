"""Snapshot → Verdicts.  Pure judges over readings; the engine asks what they need and sorts what they say."""
