"""The process that joins the engine with the world: command line, configuration, feeds, RPC, outbox."""

__version__ = "0.1.0"
