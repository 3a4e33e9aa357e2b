"""The one progress bar."""

from __future__ import annotations

from typing import Any

from ipbox.checks import check_flag


class NoBar:
    """A bar that shows nothing."""

    n = 0

    def update(self, n: int = 1) -> None:
        self.n += n

    def set_postfix_str(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass

    def __enter__(self) -> NoBar:
        return self

    def __exit__(self, *error: Any) -> None:
        pass


def bar(name: str, unit: str = "it", total: int | None = None, initial: int = 0, shown: bool = True) -> Any:
    """A tqdm bar, which moves on its own time and so costs nothing at fast iterations; `NoBar` where not ``shown``.

    To be closed, or used in ``with``.
    """
    if not check_flag(shown, "progress"):
        return NoBar()
    from tqdm.auto import tqdm

    return tqdm(desc=name, unit=unit, total=total, initial=initial, mininterval=0.2)
