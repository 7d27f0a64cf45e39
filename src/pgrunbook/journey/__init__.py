"""The way of the data, station by station: observe → diagnose → advise → rehearse → act → verify → record."""
