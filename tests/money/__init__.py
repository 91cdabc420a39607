"""Money: settlement, fees, margin, day trades, account life, and what falls due."""
