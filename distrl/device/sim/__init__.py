"""The simulated phone: one JSON state, apps that act on it, and a screen drawn from it."""
