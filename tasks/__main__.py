"""The table of tasks, out of their classes: `python -m tasks`."""

import re
import sys

from tasks import Task

HEAD = ("task", "datasets", "answer", "headline", "baseline")
_EXAMPLE = re.compile(r'-> ("[^"]*")')


def row(task: type[Task]) -> tuple[str, ...]:
    """A line of the table: name, datasets, an answer, headline metric, baseline.

    Args:
        task: its answer is the first example in its module's docstring.
    """
    example = _EXAMPLE.search(sys.modules[task.__module__].__doc__ or "")
    answer = f"`{example[1]}`" if example else ""
    datasets = ", ".join(sorted(task.datasets)) or "any"
    return task.name, datasets, answer, task.headline, task.baseline_name


def table() -> str:
    """All tasks as a Markdown table."""
    tasks = [task for _, task in sorted(Task.known.items())]
    rows = [HEAD, ("---",) * len(HEAD), *map(row, tasks)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def main() -> None:
    """Print the table."""
    print(table())


if __name__ == "__main__":
    main()
