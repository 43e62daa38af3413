#!/usr/bin/env bash
# pycocoevalcap 1.2: one carriage return in one caption gives every later image the wrong caption.
#
# Expected: PTBTokenizer().tokenize takes captions by image and gives each image its own caption
#   back, as words. A line break inside a caption is white space, like any other.
# Seen: the captions go to a Java program as the lines of one file, and its lines are dealt out to
#   the images in order. "\n" is replaced before that, but the Java side also ends a line at "\r",
#   "\r\n", vertical tab, form feed, U+2028 and U+2029. A caption with one of them inside takes two
#   places: its second half goes to the next image, all later captions move on by one, and the last
#   is lost. Nothing is reported.
# Why it matters: captions from a spreadsheet, a web page or a model can hold such characters. Here
#   one "\r" in the second of six captions, all of them equal to their references, takes CIDEr from
#   10 to 2.08. In a real test set the score is merely low, and reads like a bad model.
# Way out: " ".join(caption.split()) on each caption beforehand.
#
# Needs: python3 (3.11) with venv, java, and a package index for pip (about 130 MB).
set -euo pipefail

missing() {
    echo "missing: $1 (needed: python3 3.11 with venv, java, a package index for pip)" >&2
    exit 2
}
python3 -c "import ensurepip, venv" 2>/dev/null || missing "python3 with venv"
java -version >/dev/null 2>&1 || missing "java"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --only-binary :all: \
    numpy==2.2.6 pycocotools==2.0.11 pycocoevalcap==1.2 >"$folder/pip.log" 2>&1 ||
    { cat "$folder/pip.log" >&2; missing "the pinned packages"; }

cat >"$folder/show.py" <<'PY'
import importlib.metadata

from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

CAPTIONS = [
    "a red bus on a street",
    "a man%sriding a wave",
    "two dogs in the snow",
    "a plate of hot food",
    "some cats under a sofa",
    "an old clock near trees",
]


def tokenized(captions):
    by_image = {image: [{"caption": caption}] for image, caption in enumerate(captions)}
    return PTBTokenizer().tokenize(by_image)


def with_break(text):
    return [caption.replace("%s", text) for caption in CAPTIONS]


print("pycocoevalcap", importlib.metadata.version("pycocoevalcap"))
clean = tokenized(with_break(" "))
wrong = {}
for name, text in [
    ("\\n", "\n"),
    ("\\r", "\r"),
    ("\\r\\n", "\r\n"),
    ("vertical tab", "\v"),
    ("form feed", "\f"),
    ("U+2028", "\u2028"),
    ("U+2029", "\u2029"),
]:
    result = tokenized(with_break(text))
    wrong[name] = sum(result[image] != clean[image] for image in clean)
    print(f"{name:12} inside caption 1: {wrong[name]} of {len(clean)} images with a wrong caption")

broken = tokenized(with_break("\r"))
print('\nimage  sent                          came back, with "\\r"')
for image, caption in enumerate(with_break("\r")):
    print(f"{image:5}  {caption!r:28}  {broken[image][0]!r}")

before, _ = Cider().compute_score(clean, clean)
after, each = Cider().compute_score(clean, broken)
print(f"\nCIDEr of captions equal to their references: {before:.2f}")
print(f'CIDEr of the same with one "\\r":              {after:.2f}', each.round(2).tolist())
joined = tokenized([" ".join(caption.split()) for caption in with_break("\r")])
print("white space joined beforehand:", "all right" if joined == clean else "still wrong")

assert wrong.pop("\\n") == 0, "a newline is no longer replaced"
assert set(wrong.values()) == {5}, f"images with a wrong caption: {wrong}"
assert broken[2] == ["riding a wave"] and broken[5] == clean[4], broken
assert round(before, 2) == 10 and round(after, 2) == 2.08, (before, after)
assert joined == clean
PY
"$folder/venv/bin/python" "$folder/show.py" 2>"$folder/errors.log" ||
    { cat "$folder/errors.log" >&2; echo "the behaviour has changed" >&2; exit 1; }
