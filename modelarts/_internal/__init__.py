"""Helpers of this package: the clock, locks, warnings and value classes."""
