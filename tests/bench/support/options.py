"""What every bench takes on its command line."""
from __future__ import annotations

import argparse
from collections.abc import Sequence


class Options(argparse.ArgumentParser):
    """Of `./dev bench NAME`: which parts (all but the `seldom` ones unless they are named), --runs and --patience."""

    def __init__(self, name: str, about: str | None, parts: Sequence[str], seldom: Sequence[str] = ()):
        super().__init__(prog=f"./dev bench {name}", description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
        self._parts = parts
        self._usual = [part for part in parts if part not in seldom]
        usual = f"all but {', '.join(seldom)}" if seldom else "all"
        self.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(parts)} (default: {usual})")
        self.add_argument("--runs", type=int, default=3, help="quiet runs of each (3); up to three times as many are tried")
        self.add_argument("--patience", type=float, default=0, help="seconds to wait before each run until the machine is quiet (0)")

    def read(self) -> argparse.Namespace:
        args = self.parse_args()
        if unknown := set(args.parts) - set(self._parts):
            self.error(f"there is no part \"{unknown.pop()}\"; there are: {', '.join(self._parts)}")
        args.parts = args.parts or self._usual
        return args
