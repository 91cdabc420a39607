"""From events to what people and programs see: rows, lines, Alpaca-shaped views. One renderer for all of them."""
