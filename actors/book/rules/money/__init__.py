"""Rules about money: settlement, fees, interest, day trades, intraday margin, margin calls."""
