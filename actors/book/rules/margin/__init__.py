"""How much money positions and orders need (margin-and-options §0-§4), as pure functions over plain Structs."""
