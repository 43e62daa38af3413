"""IconQA: questions of primary school about abstract diagrams.

https://iconqa.github.io (CC BY-NC-SA 4.0)
Lu et al., IconQA, NeurIPS 2021 Datasets and Benchmarks.

    iconqa/iconqa_data/problems.json        {"12": {...}, ...}
    iconqa/iconqa_data/pid_splits.json      {"choose_txt_test": ["18", ...], ...}
    iconqa/iconqa_data/pid2skills.json      {"12": ["geometry"], ...}; optional
    iconqa/iconqa_data/iconqa/test/choose_txt/18/image.png
    iconqa/iconqa_data/iconqa/test/choose_img/12/image.png, choice_0.png, choice_1.png

    {"question": "Is the number of fish even or odd?", "choices": ["even", "odd"], "answer": 1,
     "ques_type": "choose_txt", "grade": "grade1", "label": "C13"}
"""

from collections.abc import Iterator
from itertools import product

from datamodules.readers.files import inside
from datamodules.readers.official import Official
from datamodules.readers.reader import Reader
from datamodules.readers.records import Record, known_format, misfit, misplaced
from vista.data import Annotation
from vista.unsound import shown

PROBLEM = {
    "question": str, "ques_type": str, "answer": str | int, "choices": (type(None), [str]), "grade": str | None
}  # fmt: skip
DATA = "iconqa/iconqa_data"
TYPES, PARTS = ("choose_img", "fill_in_blank"), ("train", "val", "test")


class IconQAReader(Reader):
    """One annotation per problem. `train`, `val` and `test` are those of choose_txt, the sub-task that is reported.

    choose_txt, choose_img: `label` is the index of the right choice. choose_img shows the choices as further images.
    fill_in_blank: `label` is the answer itself, and there are no choices.
    `extra`: `choices` (texts, or file names), `ques_type`, `grade`, `skills` (list, empty without pid2skills.json).
    """

    name = "iconqa"
    fields = frozenset({"question", "label"})
    splits = (*PARTS, *map("_".join, product(TYPES, PARTS)))
    source = "https://iconqa.github.io/#download"

    def _annotations(self) -> Iterator[Annotation]:
        key = self.split if self.split.startswith(TYPES) else f"choose_txt_{self.split}"
        problems, skills = self._problems(), self._skills()
        for pid in self._listed(key):
            problem = problems.get(pid)
            why = problem_of(problem)
            if problem is None or why:
                self.leave_out(pid, why)
                continue
            part = key.rpartition("_")[2]
            folder = inside(f"{DATA}/iconqa/{part}/{problem['ques_type']}/{pid}")
            choices = problem.get("choices") or []
            pictures = choices if problem["ques_type"] == "choose_img" else []
            names = ("image.png", *pictures)
            yield Annotation(
                id=pid,
                images=tuple(inside(f"{folder}/{name}") for name in names),
                question=problem["question"],
                label=str(problem["answer"]),
                extra={
                    "choices": choices,
                    "ques_type": problem["ques_type"],
                    "grade": problem.get("grade") or "",
                    "skills": [] if misfit(skills.get(pid), [str]) else skills[pid],
                },
                photos=tuple((f"iconqa {pid}/{name}",) for name in names),
            )

    def _problems(self) -> dict[str, Record]:
        """All problems by their number."""
        file = Official(self, self.file(f"{DATA}/problems.json"))
        table = file.table()
        if table and all(misfit(problem, PROBLEM) for problem in table.values()):
            why = f"its first problem {misfit(next(iter(table.values())), PROBLEM)}"
            raise misplaced(self, file.path, why, known_format(table))
        return table

    def _listed(self, key: str) -> list[str]:
        """The numbers of a sub-task's problems in a part."""
        file = Official(self, self.file(f"{DATA}/pid_splits.json"))
        lists = file.table()
        if not any(f"choose_txt_{part}" in lists for part in PARTS):
            why = f"it has no list of problems {key!r}"
            raise misplaced(self, file.path, why, known_format(lists))
        if misfit(lists.get(key), [str | int]):
            self.leave_out(key, f"{file.path.name} has no list of its problems")
            return []
        return [str(pid) for pid in lists[key]]

    def _skills(self) -> dict[str, list[str]]:
        """The skills that a problem needs, by its number; none without their file."""
        if not self.watch(self.root / DATA / "pid2skills.json").exists():
            return {}
        file = Official(self, self.file(f"{DATA}/pid2skills.json"))
        table = file.table()
        if table and all(misfit(each, [str]) for each in table.values()):
            raise misplaced(self, file.path, "it has no list of skills", known_format(table))
        return table


def problem_of(problem: Record | None) -> str:
    """Why a problem cannot be used, or an empty string."""
    if problem is None:
        return "it is not in problems.json"
    why = misfit(problem, PROBLEM)
    if why:
        return f"the problem {why}"
    if not problem["question"].strip():
        return "the question is empty"
    if problem["ques_type"] == "fill_in_blank":
        return ""
    choices = problem.get("choices") or []
    if problem["answer"] not in range(len(choices)):
        return f"the answer {shown(problem['answer'])} is none of its {len(choices)} choices"
    return ""
