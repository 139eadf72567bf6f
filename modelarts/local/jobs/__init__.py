"""The job table and the clock of the jobs."""
