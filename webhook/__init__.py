"""The admission webhook: gives vLLM pods what they need on GPU nodes, and never breaks one."""
