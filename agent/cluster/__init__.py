"""The cluster's edge: the agent's few API calls, on http.client and ssl alone."""
