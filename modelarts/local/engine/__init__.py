"""Where trainings run: processes of this machine that outlive the service."""
