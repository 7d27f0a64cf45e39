"""Tables, constraints, sequences and types."""
