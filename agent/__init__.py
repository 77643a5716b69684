"""The node agent: tunes a node's storage network, proves it, opens the gate."""
