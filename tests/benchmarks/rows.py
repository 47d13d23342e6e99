"""The table that goes into the README."""


def head() -> None:
    """Begin the table."""
    print("| what | measured | goal | reached |\n|---|---|---|---|", flush=True)


def row(what: str, figure: str, goal: str = "", reached: bool = True) -> None:
    """One measurement; without a goal it is only shown."""
    verdict = ("yes" if reached else "**no**") if goal else ""
    print(f"| {what} | {figure} | {goal} | {verdict} |", flush=True)
