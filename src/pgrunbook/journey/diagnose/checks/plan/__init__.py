"""Plans that are chosen for wrong numbers; asked with `diagnose --plans`."""
