"""The coordinator's HTTP interface: one module per resource."""
