"""The HTTP surface: a table of routes over the engine, and the processes that serve it.

Import the modules, not this package: the supervisor lives here too and must stay as small as it starts.
"""
