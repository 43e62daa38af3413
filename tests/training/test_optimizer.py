import pytest
import torch
from torch import nn

from tests.tiny import tiny_model
from vista.training.optimizer import Muon, orthogonalize, parameter_groups


def weights(*shapes: tuple[int, ...]) -> list[nn.Parameter]:
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(*shape) * 0.1) for shape in shapes]


def step_on(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    optimizer.step()


@pytest.mark.parametrize("shape", [(3, 32, 32), (2, 24, 40), (2, 40, 24)])
def test_singular_values_become_one_and_directions_stay(shape):
    matrices = torch.randn(*shape, generator=torch.Generator().manual_seed(1))
    u, _, vt = torch.linalg.svd(matrices, full_matrices=False)
    inside = (
        u.mT @ orthogonalize(matrices) @ vt.mT
    )  # diagonal where the directions are those of `matrices`
    values = inside.diagonal(dim1=1, dim2=2)
    assert torch.allclose(inside, torch.diag_embed(values), atol=1e-3)
    assert (values > 0).all() and (values < 1.25).all()
    assert ((values > 0.6).float().mean() > 0.9).all()


def test_a_zero_gradient_moves_nothing():
    assert orthogonalize(torch.zeros(2, 4, 6)).abs().max() == 0


def test_matrices_go_as_with_the_muon_of_torch():
    ours, theirs = (weights((16, 16), (16, 48), (48, 16), (16, 16)) for _ in range(2))
    start = [p.detach().clone() for p in ours]
    own = Muon([{"params": ours, "matrix": True}], lr=0.02, weight_decay=0.1)
    reference = torch.optim.Muon(
        theirs, lr=0.02, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw"
    )
    for seed in range(3):
        step_on(own, ours, seed)
        step_on(reference, theirs, seed)
    for a, b, before in zip(ours, theirs, start, strict=True):
        moved = (b - before).norm()
        assert (a - b).norm() < 0.02 * moved  # theirs is rounded to bfloat16


def test_other_groups_go_as_with_adamw():
    ours, theirs = (weights((16, 16), (16,)) for _ in range(2))
    matrix = weights((8, 8))
    own = Muon(
        [{"params": matrix, "matrix": True}, {"params": ours}],
        lr=0.01,
        betas=(0.9, 0.98),
        weight_decay=0.1,
    )
    reference = torch.optim.AdamW(theirs, lr=0.01, betas=(0.9, 0.98), weight_decay=0.1)
    for seed in range(3):
        step_on(own, [*ours, *matrix], seed)
        step_on(reference, theirs, seed)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_a_saved_state_goes_on():
    through, parted = (weights((8, 8), (8,)) for _ in range(2))

    def build(parameters: list[nn.Parameter]) -> Muon:
        return Muon(
            [{"params": parameters[:1], "matrix": True}, {"params": parameters[1:]}], lr=0.01
        )

    unbroken, first = build(through), build(parted)
    for optimizer, parameters in ((unbroken, through), (first, parted)):
        step_on(optimizer, parameters, 0)
    second = build(parted)
    second.load_state_dict(first.state_dict())
    for optimizer, parameters in ((unbroken, through), (second, parted)):
        step_on(optimizer, parameters, 1)
    assert all(torch.equal(a, b) for a, b in zip(through, parted, strict=True))


def test_groups_hold_every_trained_parameter_once():
    model = tiny_model()
    model.vision_model.requires_grad_(False)
    matrices, others, vectors = (
        group["params"] for group in parameter_groups(model, model.language_model.lm_head, 0.05)
    )
    names = {id(p): name for name, p in model.named_parameters()}
    assert all(p.dim() == 2 and "embed" not in names[id(p)] for p in matrices)
    assert {names[id(p)] for p in others} == {
        "query_tokens",
        "qformer.embeddings.word_embeddings.weight",
        "qformer.embeddings.position_embeddings.weight",
        "language_model.model.embed_tokens.weight",
    }
    assert all(p.dim() == 1 for p in vectors)
    trained = [id(p) for p in model.parameters() if p.requires_grad]
    assert sorted(trained) == sorted(id(p) for p in [*matrices, *others, *vectors])


def test_an_untied_head_is_no_matrix():
    model = nn.ModuleDict(
        {"embed": nn.Embedding(5, 4), "layer": nn.Linear(4, 4), "head": nn.Linear(4, 5)}
    )
    groups = parameter_groups(model, model["head"], 0.0)
    assert {p.shape for p in groups[0]["params"]} == {(4, 4)}


def test_a_part_may_have_a_rate_of_its_own():
    model = tiny_model()
    head = model.language_model.get_output_embeddings()
    plain = parameter_groups(model, head, 0.1)
    assert len(plain) == 3 and not any("lr" in group for group in plain)
    groups = parameter_groups(model, head, 0.1, {"language_model": 2e-4, "qformer": 1e-5})
    optimizer = torch.optim.AdamW(groups, lr=1e-3)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    expected = {"language_model": 2e-4, "qformer": 1e-5}
    assert len(rates) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        assert rates[id(parameter)] == expected.get(name.partition(".")[0], 1e-3), name
    assert [g["weight_decay"] for g in groups] == [0.1, 0.1, 0.0] * 3
    assert [bool(g.get("matrix")) for g in groups] == [True, False, False] * 3
