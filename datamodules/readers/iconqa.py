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
from datamodules.readers.reader import Reader, Record
from vista.data import Annotation

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
        problems = self.json("iconqa/iconqa_data/problems.json")
        splits = self.json("iconqa/iconqa_data/pid_splits.json")
        try:
            skills = self.json("iconqa/iconqa_data/pid2skills.json")
        except FileNotFoundError:
            skills = {}
        for pid in map(str, splits.get(key, ())):
            problem = problems.get(pid)
            why = problem_of(problem)
            if why:
                self.leave_out(pid, why)
                continue
            part = key.rpartition("_")[2]
            folder = inside(f"iconqa/iconqa_data/iconqa/{part}/{problem['ques_type']}/{pid}")
            choices = problem.get("choices", [])
            pictures = choices if problem["ques_type"] == "choose_img" else []
            yield Annotation(
                id=pid,
                images=tuple(inside(f"{folder}/{name}") for name in ("image.png", *pictures)),
                question=problem["question"],
                label=str(problem["answer"]),
                extra={
                    "choices": choices,
                    "ques_type": problem["ques_type"],
                    "grade": problem.get("grade", ""),
                    "skills": skills.get(pid, []),
                },
            )


def problem_of(problem: Record | None) -> str:
    """Why a problem cannot be used, or an empty string."""
    if problem is None:
        return "it is not in problems.json"
    if not problem["question"].strip():
        return "the question is empty"
    if problem["ques_type"] == "fill_in_blank":
        return ""
    choices = problem.get("choices", [])
    if problem["answer"] not in range(len(choices)):
        return f"the answer {problem['answer']!r} is none of its {len(choices)} choices"
    return ""
