"""Orders of every kind through the engine: what follows from them, and what never may."""
