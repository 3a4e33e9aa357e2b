"""Problem, state, protocol, the one loop, stop rules and callbacks."""
