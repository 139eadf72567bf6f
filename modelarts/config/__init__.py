"""The paths under which scripts written for the original SDK import their helpers."""
