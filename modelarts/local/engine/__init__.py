"""Processes of this machine that outlive the service: the trainings."""
