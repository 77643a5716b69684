"""The cluster's edge: the agent's few API calls, on socket and ssl alone."""
