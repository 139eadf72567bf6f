"""Trainings: jobs that run a script, their logs and their boards."""
