"""The fill model fm1: pure functions from an order, the market and a profile to fills or a reason."""
