#!/usr/bin/env bash
# torch 2.13.0 (CPU): of a batch of one, BatchNorm2d's backward pass gives wrong gradients.
#
# Expected: the gradient of the input does not depend on how the gradient of the output lies in memory.
# Seen: where a feature map (B, C, h, w) is read as tokens, `y.flatten(2).transpose(1, 2)`, the gradient comes back
#   with the channels last in memory. With B = 2 all is right. With B = 1 each number is taken for that of another
#   place and channel: the kernel takes the gradient for one in the usual order. No error, no warning, and the forward
#   pass is right; in training mode and in evaluation mode, also in float64, where `gradcheck` finds it.
# Why it matters: this is how a convolutional encoder is put before a transformer, and a batch of one image is what a
#   machine with little memory trains on. The encoder then learns from noise.
# Way round: `y.register_hook(torch.Tensor.contiguous)`, which this script tries too.
#
# Needs: python3 (3.11) with venv, and a package index for pip (200 MB; several GB where the index gives the CUDA build).
set -euo pipefail

missing() {
    echo "missing: $1 (needed: python3 3.11 with venv, a package index for pip)" >&2
    exit 2
}
python3 -c "import ensurepip, venv" 2>/dev/null || missing "python3 with venv"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --only-binary :all: torch==2.13.0 numpy==2.2.6 >"$folder/pip.log" 2>&1 ||
    { cat "$folder/pip.log" >&2; missing "the pinned packages"; }

cat >"$folder/show.py" <<'PY'
import torch

print("torch", torch.__version__)
torch.manual_seed(0)
norm = torch.nn.BatchNorm2d(4).eval()
scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach()[:, None, None]


def error(images: int, hook: bool) -> float:
    """Largest difference between the input's gradient and what it is by hand."""
    x = torch.randn(images, 4, 3, 3, requires_grad=True)
    y = norm(x)
    if hook:
        y.register_hook(torch.Tensor.contiguous)
    upstream = torch.randn(images, 9, 4)  # of the tokens
    (found,) = torch.autograd.grad(y.flatten(2).transpose(1, 2), x, upstream)
    by_hand = upstream.transpose(1, 2).reshape(images, 4, 3, 3) * scale
    return (found - by_hand).abs().max().item()


seen = {(images, hook): error(images, hook) for images in (1, 2) for hook in (False, True)}
for (images, hook), difference in seen.items():
    print(f"{images} image(s), {'with' if hook else 'without'} the hook: off by {difference:.3g}")
assert seen.pop((1, False)) > 1, "right now"
assert max(seen.values()) < 1e-6, seen
PY
"$folder/venv/bin/python" "$folder/show.py" || { echo "the behaviour has changed" >&2; exit 1; }
