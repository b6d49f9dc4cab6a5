"""Tasks of the simulated phone: templates, their set-up, their check on state, and scripted demonstrators."""
