"""The exit codes of every command."""

OK = 0
FAILED = 1  # the run FAILED, or the command was refused
USAGE = 2  # the command was not understood
CANCELLED = 3  # the run was CANCELLED
NO_RESULT = 4  # the run SUCCEEDED, but its result node was pruned or skipped
STILL_RUNNING = 5  # --timeout is over
INTERRUPTED = 130  # Ctrl-C
BROKEN_PIPE = 141  # who reads stdout has gone

OF_STATE = {"RUNNING": OK, "SUCCEEDED": OK, "FAILED": FAILED, "CANCELLED": CANCELLED}
