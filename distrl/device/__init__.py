"""Devices: what an agent can operate, behind one async protocol."""
