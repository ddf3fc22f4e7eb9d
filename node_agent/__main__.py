"""`python -m node_agent` is `weal-node`."""

from node_agent.cli import main

main()
