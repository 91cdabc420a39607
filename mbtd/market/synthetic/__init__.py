"""The embedded market: an invented but well-behaved exchange for use without any data provider."""
