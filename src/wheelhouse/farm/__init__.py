"""Where the jobs of a plan run."""
