"""What the agent, the webhook and the command line share; imports none of them."""
