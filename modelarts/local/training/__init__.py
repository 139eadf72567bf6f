"""Trainings on this machine: their definition, their queue and their end."""
