"""The other protocols that this server speaks, if they are named: each translates, and decides nothing."""
