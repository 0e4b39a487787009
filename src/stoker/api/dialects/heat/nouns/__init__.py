"""HEAT's nouns: what is kept of each, what may be sent, what is shown. Values and pure functions alone."""
