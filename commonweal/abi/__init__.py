"""ABIs and creation bytecode of the contracts, as JSON; `python -m commonweal.abi` renews them."""
