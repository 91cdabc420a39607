"""What an operator's daemon does beside trading: erasure, export, retention, verification."""
