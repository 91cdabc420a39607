"""From a client's words to an order's terms, or to the reason why not."""
