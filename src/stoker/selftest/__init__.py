"""`stoker selftest`: an installation proves itself. Real servers and runners of its own, in a folder of their own.

`quick` runs a graph of every sort; `grinder` has random graphs run while `nemesis` kills, stops and restarts what
`site` started. Then `gather` reads the database, offline, and `checker` says what is wrong with it.
"""
