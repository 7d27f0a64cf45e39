"""Settings, extensions and versions."""
