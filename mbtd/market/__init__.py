"""Where market data comes from: feeds, recordings, the calendar, reference data and bars."""
