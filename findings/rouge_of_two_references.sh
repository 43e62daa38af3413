#!/usr/bin/env bash
# pycocoevalcap 1.2: with several references, ROUGE-L is 1.0 for captions that equal none of them.
#
# Expected: the score against several references is the best of the scores against each, as a
#   caption is right when it says what one person said. 1.0 means that it equals a reference.
# Seen: Rouge takes the best precision and the best recall separately, and these may come from
#   different references. A long reference that holds all the words gives precision 1, a short one
#   whose words are all in the caption gives recall 1, and together they make 1.0, where the better
#   of the two alone gives 0.62 to 0.92.
# Why it matters: one-word references beside long ones are common for referring expressions ("man",
#   "the man on the left in a red hat"), and with COCO's five references a caption draws on several.
#   The score then depends on the number and the unevenness of the references as well as on the
#   caption: do not compare it across data sets, and read it beside the best score against one
#   reference.
#
# Needs: python3 (3.11) with venv, and a package index for pip (about 130 MB).
set -euo pipefail

missing() {
    echo "missing: $1 (needed: python3 3.11 with venv, a package index for pip)" >&2
    exit 2
}
python3 -c "import ensurepip, venv" 2>/dev/null || missing "python3 with venv"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --only-binary :all: \
    numpy==2.2.6 pycocotools==2.0.11 pycocoevalcap==1.2 >"$folder/pip.log" 2>&1 ||
    { cat "$folder/pip.log" >&2; missing "the pinned packages"; }

cat >"$folder/show.py" <<'PY'
import importlib.metadata

from pycocoevalcap.rouge.rouge import Rouge

CASES = [
    (
        "the man",
        ["man", "the man on the left in a red hat"],
    ),
    (
        "a dog runs on the beach",
        ["a dog on the beach", "a dog runs on the beach with a ball in its mouth"],
    ),
    (
        "two people and a dog",
        ["two people", "two people and a dog near a red car in the snow"],
    ),
]


def rouge(caption, references):
    score, _ = Rouge().compute_score({0: references}, {0: [caption]})
    return float(score)


print("pycocoevalcap", importlib.metadata.version("pycocoevalcap"))
seen = []
for caption, references in CASES:
    alone = [rouge(caption, [reference]) for reference in references]
    together = rouge(caption, references)
    seen.append((round(max(alone), 2), round(together, 2)))
    print(f"\n{caption!r}")
    for reference, score in zip(references, alone, strict=True):
        print(f"    {score:.2f} against {reference!r} alone")
    print(f"    {together:.2f} against both")
    assert caption not in references

assert seen == [(0.71, 1.0), (0.92, 1.0), (0.62, 1.0)], seen
PY
"$folder/venv/bin/python" "$folder/show.py" || { echo "the behaviour has changed" >&2; exit 1; }
