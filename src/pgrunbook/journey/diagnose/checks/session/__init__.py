"""Sessions, locks and connections."""
