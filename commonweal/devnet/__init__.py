"""The local network of `weal dev` and `weal demo`: chain, coordinator, agents, each a process."""
