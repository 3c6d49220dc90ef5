"""What those who run a server see of it: logs, counts and metrics."""
