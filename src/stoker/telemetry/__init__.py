"""Logs, metrics and traces of a server. It listens; rules and transactions know nothing of it and pay nothing."""
