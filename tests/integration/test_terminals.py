"""That the tests' own terminal loses nothing."""

import time

from tests.integration.terminals import open_terminal


def test_what_a_program_wrote_last_is_read_after_its_end():
    terminal = open_terminal("/bin/sh", "-c", "echo the end; exit 3")
    time.sleep(0.3)
    assert terminal.read_to_end() == 3
    assert terminal.screen.display[0].startswith("the end")
