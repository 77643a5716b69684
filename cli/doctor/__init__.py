"""`tunegate doctor`: what stands between a cluster and tuned nodes, read, judged, and told."""
