"""The table of the README."""


def head() -> None:
    """Print the head of the table."""
    print("| what | measured | goal | reached |\n|---|---|---|---|", flush=True)


def row(what: str, value: str, goal: str = "", reached: bool = True) -> None:
    """Print one measurement; without a goal it is only shown."""
    verdict = ("yes" if reached else "**no**") if goal else ""
    print(f"| {what} | {value} | {goal} | {verdict} |", flush=True)
