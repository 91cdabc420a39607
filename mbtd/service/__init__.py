"""What the daemon does for a request on its socket."""
