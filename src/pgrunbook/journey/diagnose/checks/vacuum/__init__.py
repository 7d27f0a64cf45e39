"""Dead rows, statistics, bloat, and the horizons that hold vacuum back."""
