"""The exam: planted faults, healthy decoys, blindfolds; each on a database of its own, judged by all checks."""
