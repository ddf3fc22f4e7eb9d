"""`python -m service` is `weal-coordinator`."""

from __future__ import annotations

from service.cli import main

main()
