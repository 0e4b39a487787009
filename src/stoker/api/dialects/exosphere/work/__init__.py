"""What runtimes call: enqueue, the reports and signals of states, and secrets."""
