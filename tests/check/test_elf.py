from __future__ import annotations

from check.wheel_factory import compiled
from wheelhouse.check.elf import read_elf


def test_read_elf__weak_symbols_are_not_needed() -> None:
    source = """
        __attribute__((weak)) int here_or_not(void);
        int needed(void);
        int PyInit__spam(void) { return (here_or_not ? here_or_not() : 0) + needed(); }
    """

    elf = read_elf(compiled(source))

    assert "needed" in elf.undefined
    assert "here_or_not" not in elf.undefined
