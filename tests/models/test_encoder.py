"""Every vision tower against transformers' own model called by hand: tokens, sizes, and what is refused."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import (
    Blip2VisionConfig,
    Blip2VisionModel,
    CLIPConfig,
    CLIPModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    ConvNextConfig,
    ConvNextModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    DINOv3ViTConfig,
    DINOv3ViTModel,
    EfficientNetConfig,
    EfficientNetModel,
    InstructBlipVisionConfig,
    InstructBlipVisionModel,
    PreTrainedModel,
    ResNetConfig,
    ResNetForImageClassification,
    ResNetModel,
    Siglip2VisionConfig,
    Siglip2VisionModel,
    SiglipConfig,
    SiglipModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from vista.data import InputError, MissingFileError
from vista.models.encoder import build_encoder, patch_grid
from vista.models.initialize import grid_sinusoids, initialize
from vista.models.pixels import pixels_of
from vista.models.towers import patches_of, width_of

WIDTH = 32
SIZES = {"hidden_size": WIDTH, "num_hidden_layers": 3, "num_attention_heads": 2}
VIT = {**SIZES, "intermediate_size": 48}
TEXT = {**VIT, "vocab_size": 64, "bos_token_id": 0, "eos_token_id": 1}
CNN = {"hidden_sizes": [8, WIDTH], "depths": [1, 1]}
SQUARE = {"image_size": 28, "patch_size": 14}
EFFICIENT = {
    "width_coefficient": WIDTH / 1280, "depth_coefficient": 1.0, "hidden_dim": WIDTH, "image_size": 32,
    "in_channels": [32, 320], "out_channels": [320, 640], "kernel_sizes": [3, 3], "strides": [1, 2],
    "num_block_repeats": [1, 1], "expand_ratios": [1, 2],
}  # fmt: skip
LITE = EfficientNetConfig(**EFFICIENT, squeeze_expansion_ratio=0.0, hidden_act="relu6")


def clip(**sizes: int) -> CLIPConfig:
    return CLIPConfig(vision_config={**VIT, **SQUARE, **sizes}, text_config=TEXT)


def siglip(**sizes: int) -> SiglipConfig:
    return SiglipConfig(vision_config={**VIT, **SQUARE, **sizes}, text_config=TEXT)


# name -> a model of transformers; tokens before its patches; patches along a side
TOWERS = {
    "instructblip": (InstructBlipVisionModel, InstructBlipVisionConfig(**VIT, **SQUARE), 1, 2),
    "blip2": (Blip2VisionModel, Blip2VisionConfig(**VIT, **SQUARE), 1, 2),
    "clip_l_14": (CLIPVisionModel, CLIPVisionConfig(**VIT, **SQUARE), 1, 2),
    "clip_b_16": (CLIPVisionModel, CLIPVisionConfig(**VIT, image_size=48, patch_size=16), 1, 3),
    "clip_full": (CLIPModel, clip(), 1, 2),
    "siglip": (SiglipVisionModel, SiglipVisionConfig(**VIT, **SQUARE), 0, 2),
    "siglip_full": (SiglipModel, siglip(), 0, 2),
    "siglip_384_14": (SiglipVisionModel, SiglipVisionConfig(**VIT, image_size=34, patch_size=14), 0, 2),
    "dinov2": (Dinov2Model, Dinov2Config(**SIZES, **SQUARE), 1, 2),
    "dinov2_registers": (
        Dinov2WithRegistersModel, Dinov2WithRegistersConfig(**SIZES, **SQUARE, num_register_tokens=4), 5, 2
    ),
    "dinov3": (DINOv3ViTModel, DINOv3ViTConfig(**VIT, image_size=32, num_register_tokens=4), 5, 2),
    "resnet": (ResNetModel, ResNetConfig(**CNN, embedding_size=8, image_size=32), 0, 4),
    "resnet_classifier": (
        ResNetForImageClassification, ResNetConfig(**CNN, embedding_size=8, image_size=32), 0, 4
    ),
    "convnext": (ConvNextModel, ConvNextConfig(**CNN, num_stages=2, image_size=32), 0, 4),
    "efficientnet": (EfficientNetModel, EfficientNetConfig(**EFFICIENT), 0, 8),
    "efficientnet_lite": (EfficientNetModel, LITE, 0, 8),
}  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of each tower, as transformers saves it, and its model."""
    root = tmp_path_factory.mktemp("towers")
    for name in TOWERS:
        saved(name, root / name)
    return root


def saved(name: str, folder: Path) -> PreTrainedModel:
    """A model with weights that differ everywhere, in a folder."""
    kind, config, _, _ = TOWERS[name]
    torch.manual_seed(3)
    model = kind(config).eval()
    if config is LITE:  # as its makers have it: without gates
        for block in model.encoder.blocks:
            block.squeeze_excite = nn.Identity()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(
                module, nn.BatchNorm2d
            ):  # EfficientNet's first scales are next to nothing
                module.weight.fill_(1)
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        for name, value in model.named_buffers():
            if "running" in name:
                value.add_(0.2 * torch.rand_like(value))
    model.save_pretrained(folder)
    return model


def by_hand(name: str, folder: Path, pixels: Tensor) -> Tensor:
    """What a tower's tokens are, from transformers' own loader and forward pass."""
    kind, _, _, _ = TOWERS[name]
    kind = {CLIPModel: CLIPVisionModel, SiglipModel: SiglipVisionModel}.get(kind, kind)
    kind = ResNetModel if kind is ResNetForImageClassification else kind
    model = kind.from_pretrained(folder).eval()
    if name == "efficientnet_lite":  # open gates
        for block in model.encoder.blocks:
            block.squeeze_excite.expand.weight.zero_()
            block.squeeze_excite.expand.bias.fill_(100)
    output = model(pixel_values=pixels, output_hidden_states=True)
    hidden = output.last_hidden_state
    if kind is CLIPVisionModel:
        hidden = output.hidden_states[-2]
    if hidden.ndim == 4:
        hidden = hidden.flatten(2).transpose(1, 2)
    if kind in (CLIPVisionModel, ResNetModel, ConvNextModel, EfficientNetModel):
        mean, variance = hidden.mean(-1, keepdim=True), hidden.var(-1, correction=0, keepdim=True)
        hidden = (hidden - mean) / (variance + 1e-5).sqrt()
    return hidden


def pixels_for(tower: PreTrainedModel) -> Tensor:
    side = pixels_of(tower.config).size
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", TOWERS)
@torch.no_grad()
def test_tokens_are_those_of_transformers(folders: Path, name: str) -> None:
    """Nothing about sizes is given; weights of the text side, of poolers and classifiers are passed over."""
    tower = build_encoder(weights=folders / name)
    pixels = pixels_for(tower)
    tokens = tower(pixel_values=pixels).last_hidden_state
    torch.testing.assert_close(tokens, by_hand(name, folders / name, pixels), atol=1e-5, rtol=0)
    _, _, leading, grid = TOWERS[name]
    assert tokens.shape == (2, leading + grid**2, WIDTH) and width_of(tower) == WIDTH
    assert torch.equal(patches_of(tower, tokens), tokens[:, leading:])
    assert patch_grid(tower) == grid and tokens.std() > 0.1


@pytest.mark.parametrize("name", TOWERS)
def test_patches_go_from_left_to_right_row_by_row(folders: Path, name: str) -> None:
    """Tokens depend most on the pixels of their own places: they are not shifted, and columns do not come first."""
    tower, (_, _, _, grid) = build_encoder(weights=folders / name), TOWERS[name]
    pixels = pixels_for(tower)[:1].requires_grad_()
    side = pixels.shape[-1] // grid
    weights = torch.randn(WIDTH, generator=torch.Generator().manual_seed(2))
    rows = []  # share of each patch of pixels in a token
    for token in patches_of(tower, tower(pixel_values=pixels).last_hidden_state)[0]:
        (slope,) = torch.autograd.grad(token @ weights, pixels, retain_graph=True)
        if "efficientnet" in name:  # padded at the right and below alone, as TensorFlow does
            slope = slope.roll((-side // 2, -side // 2), (-2, -1))
        cells = slope[0].abs().sum(0).unfold(0, side, side).unfold(1, side, side).sum((2, 3))
        rows.append(cells.flatten() / cells.sum())
    shares = torch.stack(rows)
    columns_first = shares.unflatten(1, (grid, grid)).mT.flatten(1)
    for other in (shares.roll(1, 0), columns_first):
        assert shares.diagonal().mean() > other.diagonal().mean()


@pytest.mark.parametrize("name", TOWERS)
def test_every_weight_of_a_trained_tower_gets_a_gradient(folders: Path, name: str) -> None:
    """Processes that share a training wait for the gradient of each; statistics of norms are no weights and stay."""
    tower = build_encoder(weights=folders / name)
    before = {name: value.clone() for name, value in tower.named_buffers()}
    tower(pixel_values=pixels_for(tower)).last_hidden_state.square().sum().backward()
    assert not [name for name, weight in tower.named_parameters() if weight.grad is None]
    assert all(torch.equal(before[name], value) for name, value in tower.named_buffers())


@pytest.mark.parametrize("name", TOWERS)
def test_what_a_tower_holds_can_be_read_again(folders: Path, name: str, tmp_path: Path) -> None:
    """Without the weights that take no part."""
    tower = build_encoder(weights=folders / name)
    state = {name: value.contiguous() for name, value in tower.state_dict().items()}
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(tower.config.to_json_string())
    again = build_encoder(weights=tmp_path)
    assert again.state_dict().keys() == state.keys()
    assert all(torch.equal(again.state_dict()[name], value) for name, value in state.items())
    assert pixels_of(again.config) == pixels_of(tower.config)


def test_a_missing_weight_is_named(folders: Path, tmp_path: Path) -> None:
    state = load_file(folders / "dinov2/model.safetensors")
    del state["layernorm.weight"]
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((folders / "dinov2/config.json").read_text())
    with pytest.raises(
        InputError, match=r"lacks 1 parameters of .*, the first is layernorm\.weight"
    ):
        build_encoder(weights=tmp_path)


def test_a_weight_without_a_place_is_named(folders: Path, tmp_path: Path) -> None:
    state = load_file(folders / "clip_l_14/model.safetensors")
    state["encoder.layers.3.layer_norm1.bias"] = torch.zeros(WIDTH)
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((folders / "clip_l_14/config.json").read_text())
    with pytest.raises(InputError, match=r"lacks, the first is encoder\.layers\.3"):
        build_encoder(weights=tmp_path)


@pytest.mark.parametrize("name", TOWERS)
def test_an_architecture_starts_at_random(folders: Path, name: str) -> None:
    """What else is in its folder is not read."""
    folder = folders / name
    torch.manual_seed(0)
    first, second = build_encoder(architecture=folder), build_encoder(architecture=folder)
    assert width_of(first) == WIDTH
    tokens, others = (
        tower(pixel_values=pixels_for(tower)).last_hidden_state for tower in (first, second)
    )
    assert not torch.allclose(tokens, others) and tokens.isfinite().all()
    assert tokens.std(dim=1).mean() > 1e-3  # tokens differ


def test_an_architecture_decides_in_the_place_of_what_lies_beside_the_weights(
    folders: Path, tmp_path: Path
) -> None:
    """Sizes, and what the tower is shown."""
    (tmp_path / "config.json").write_text((folders / "siglip/config.json").read_text())
    said = {"image_mean": [0.1] * 3, "image_std": [0.2] * 3, "size": {"height": 28, "width": 28}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    ours = build_encoder(weights=folders / "siglip", architecture=tmp_path)
    assert pixels_of(ours.config).mean == (0.1, 0.1, 0.1)
    theirs = build_encoder(weights=folders / "siglip").state_dict()
    assert all(torch.equal(theirs[name], value) for name, value in ours.state_dict().items())


def test_an_interrupted_download_is_no_random_start(folders: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((folders / "dinov2/config.json").read_text())
    with pytest.raises(
        MissingFileError, match=r"no \.safetensors file at .*at random names it as its `arch"
    ):
        build_encoder(weights=tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(
        MissingFileError, match=r"no config\.json; encoder\.architecture names its folder"
    ):
        build_encoder(architecture=tmp_path)


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("clip_l_14", {"image_size": 32}, "image_size is 28 there and --encoder.image_size is 32"),
        ("siglip", {"patch_size": 7}, "patch_size is 14 there and --encoder.patch_size is 7"),
        ("dinov2", {"hidden_size": 64}, "hidden_size is 32 there and --encoder.hidden_size is 64"),
        ("dinov3", {"num_layers": 2}, "num_hidden_layers is 3 there and --encoder.num_layers is 2"),
        ("blip2", {"num_heads": 4}, "num_attention_heads is 2 there and --encoder.num_heads is 4"),
        ("clip_full", {"mlp_size": 64}, "intermediate_size is 48 there and --encoder.mlp_size is 64"),
        ("resnet", {"num_layers": 4}, "num_hidden_layers is None there and --encoder.num_layers is 4"),
    ],
)  # fmt: skip
def test_a_size_that_differs_is_named_with_both_values(
    folders: Path, name: str, given: dict[str, int], sentence: str
) -> None:
    with pytest.raises(InputError) as error:
        build_encoder(weights=folders / name, **given)
    assert sentence in str(error.value)


def test_a_size_that_is_the_same_may_be_given(folders: Path) -> None:
    assert build_encoder(weights=folders / "siglip", image_size=28, num_layers=3)


@pytest.mark.parametrize(("name", "side"), [("dinov2", 56), ("dinov3", 48), ("resnet", 64)])
def test_a_tower_of_any_size_is_shown_what_is_asked_for(
    folders: Path, name: str, side: int
) -> None:
    tower = build_encoder(weights=folders / name, image_size=side)
    pixels = pixels_for(tower)
    assert pixels.shape[-1] == side
    with torch.no_grad():
        tokens = tower(pixel_values=pixels).last_hidden_state
        torch.testing.assert_close(tokens, by_hand(name, folders / name, pixels), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["clip_l_14", "siglip", "instructblip", "dinov2"])
@torch.no_grad()
def test_no_strip_of_an_image_is_hidden(name: str, tmp_path: Path) -> None:
    """SigLIP so400m: 27 patches of 14 pixels see 378 of 384; the whole image goes into these 378."""
    kind, config, _, grid = TOWERS[name]
    kind(
        type(config)(**(SIZES if name == "dinov2" else VIT), image_size=38, patch_size=14)
    ).save_pretrained(tmp_path)
    tower = build_encoder(weights=tmp_path)
    assert pixels_of(tower.config).size == 28 and patch_grid(tower) == grid
    pixels = pixels_for(tower)
    tokens = tower(pixel_values=pixels).last_hidden_state
    pixels[:, :, -1, -1] += 10
    assert not torch.equal(tower(pixel_values=pixels).last_hidden_state, tokens)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (Siglip2VisionConfig(**VIT).to_dict(), "naflex"),
        ({"model_type": "bert"}, "a bert cannot be the encoder; known are instructblip_vision_model"),
    ],
)  # fmt: skip
def test_other_models_are_refused_in_a_sentence(
    config: dict, sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=sentence):
        build_encoder(weights=tmp_path)


def test_naflex_is_told_from_a_siglip_2_of_one_size(tmp_path: Path) -> None:
    """The latter's folders say `siglip`."""
    Siglip2VisionModel(Siglip2VisionConfig(**VIT)).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="naflex"):
        build_encoder(weights=tmp_path)


def test_explicit_sizes_are_the_vit_of_instructblip_as_ever() -> None:
    """The same names, and for a seed the same weights."""
    torch.manual_seed(5)
    ours = build_encoder(48, 8, WIDTH, 2, 2, 64)
    torch.manual_seed(5)
    config = InstructBlipVisionConfig(
        image_size=48,
        patch_size=8,
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
    )
    theirs = InstructBlipVisionModel(config)
    initialize(theirs, WIDTH)
    with torch.no_grad():
        theirs.embeddings.class_embedding.normal_(std=WIDTH**-0.5)
        theirs.embeddings.position_embedding.zero_()
        theirs.embeddings.position_embedding[0, 1:] = 0.5 * grid_sinusoids(6, WIDTH)
    state = ours.state_dict()
    assert state.keys() == theirs.state_dict().keys()
    assert all(torch.equal(state[name], value) for name, value in theirs.state_dict().items())
