import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from roadstill.criteria import Criterion, Diversity, MeanAlignment, Representativeness
from roadstill.criteria.memory import ClassMemory
from roadstill.errors import UserError


def stream(golden):
    values = golden("minimax_criteria")
    for step in range(len(values.parameters["ids"])):
        yield step, *(values[f"step{step}.{name}"] for name in ("pred_x0", "real_latent", "class_id"))


@pytest.mark.parametrize(("tag", "weight_r", "weight_d"), [("paper", 0.002, 0.008), ("unit", 1.0, 1.0)])
def test_terms_gradients_and_memories_equal_the_reference(golden, tag, weight_r, weight_d):
    values = golden("minimax_criteria")
    real, pseudo = Representativeness(memory_size=16), Diversity(memory_size=16)
    for step, predicted, clean, label in stream(golden):
        leaf = predicted.clone().requires_grad_()
        term_r, term_d = weight_r * real(leaf, clean, label), weight_d * pseudo(leaf, clean, label)
        values.check(f"step{step}.{tag}.representativeness_loss", term_r)
        values.check(f"step{step}.{tag}.diversity_loss", term_d)
        (grad_r,) = torch.autograd.grad(term_r, leaf)
        (grad_d,) = torch.autograd.grad(term_d, leaf)
        values.check(f"step{step}.{tag}.grad_total", grad_r + grad_d)
        if tag == "unit":
            values.check(f"step{step}.unit.grad_representativeness", grad_r)
            values.check(f"step{step}.unit.grad_diversity", grad_d)
        for kind, criterion in (("real", real), ("pseudo", pseudo)):
            for c in range(2):
                entries = criterion.memory.entries(c)
                assert len(entries) == int(values[f"step{step}.{kind}_memory.class{c}.length"])
                values.check(f"step{step}.{kind}_memory.class{c}.checksum", entries.double().sum(1))


def test_memory_keeps_the_rows_that_the_reference_keeps(golden):
    values, memory, shown = golden("minimax_criteria"), ClassMemory(16), {}
    for step, predicted, _, label in stream(golden):
        memory.push(predicted.flatten(1), label)
        shown |= {(step, row): predicted[row].flatten() for row in range(len(label))}
        for c in range(2):
            order = values[f"step{step}.memory_order.class{c}"]
            expected = torch.stack([shown[tuple(pair)] for pair in order.tolist()])
            assert torch.equal(memory.entries(c), expected)


@given(st.integers(1, 5), st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=9), min_size=1, max_size=8))
def test_memory_is_a_queue_per_class(size, batches):
    memory, queues, count = ClassMemory(size), {c: [] for c in range(4)}, 0
    for batch in batches:
        vectors = torch.arange(count, count + len(batch), dtype=torch.float32)[:, None].expand(-1, 2)
        count += len(batch)
        memory.push(vectors, torch.tensor(batch))
        for vector, c in zip(vectors[:, 0].tolist(), batch, strict=True):
            queues[c] = [*queues[c], vector][-size:]
        for c, queue in queues.items():
            assert memory.entries(c)[:, :1].flatten().tolist() == queue


def by_hand(estimate, memories, label, sign, reduce):
    """The same terms with loops."""
    terms = []
    for c in label.unique().tolist():
        if len(memories[c]):
            cosines = sign * F.cosine_similarity(estimate[label == c][:, None], memories[c][None], dim=-1)
            terms.append(sign * (cosines.min() if reduce == "pairs" else cosines.amin(1).mean()))
    return terms


@pytest.mark.parametrize("reduce", ["pairs", "samples"])
def test_both_reductions_equal_loops(reduce):
    generator = torch.Generator().manual_seed(0)
    real, pseudo = Representativeness(4, reduce), Diversity(4, reduce)
    memories_r, memories_d = {c: torch.zeros(0, 12) for c in range(3)}, {c: torch.zeros(0, 12) for c in range(3)}
    for _ in range(5):
        estimate, clean = (torch.randn(7, 3, 2, 2, generator=generator) for _ in range(2))
        label = torch.randint(3, (7,), generator=generator)
        classes = len(label.unique())
        expected_r = sum(1 - s for s in by_hand(estimate.flatten(1), memories_r, label, 1, reduce))
        expected_d = sum(by_hand(estimate.flatten(1), memories_d, label, -1, reduce))
        assert float(real(estimate, clean, label)) == pytest.approx(float(expected_r) / classes, abs=1e-5)
        assert float(pseudo(estimate, clean, label)) == pytest.approx(float(expected_d) / classes, abs=1e-5)
        for c in range(3):
            memories_r[c] = torch.cat([memories_r[c], clean.flatten(1)[label == c]])[-4:]
            memories_d[c] = torch.cat([memories_d[c], estimate.flatten(1)[label == c]])[-4:]


@pytest.mark.parametrize("kind", [Representativeness, Diversity])
@pytest.mark.parametrize(("reduce", "rows"), [("pairs", 1), ("samples", 8)])
def test_who_gets_gradient(kind, reduce, rows):
    criterion, label = kind(reduce=reduce), torch.ones(8, dtype=torch.int64)
    generator = torch.Generator().manual_seed(1)
    first, second, clean = (torch.randn(8, 4, 2, 2, generator=generator) for _ in range(3))
    criterion(first, clean, label)
    leaf = second.clone().requires_grad_()
    criterion(leaf, clean, label).backward()
    assert (leaf.grad.flatten(1).abs().sum(1) > 0).sum() == rows


@pytest.mark.parametrize("kind", [Representativeness, Diversity])
def test_a_first_visit_adds_nothing_and_its_gradient_is_zero(kind):
    leaf = torch.randn(4, 2, 2, 2, requires_grad=True)
    term = kind()(leaf, torch.randn(4, 2, 2, 2), torch.tensor([0, 1, 0, 1]))
    term.backward()
    assert term.item() == 0
    assert leaf.grad.count_nonzero() == 0


@pytest.mark.parametrize("kind", [Representativeness, Diversity])
def test_state_round_trips_before_and_after_first_use(kind):
    empty = kind(4)
    empty.load_state_dict(kind(4).state_dict(), strict=True)
    used, label = kind(4), torch.tensor([0, 2, 2])
    used(torch.randn(3, 2, 2, 2), torch.randn(3, 2, 2, 2), label)
    state = {name: tensor.clone() for name, tensor in used.state_dict().items()}
    empty.load_state_dict(state, strict=True)
    batch = torch.randn(3, 2, 2, 2), torch.randn(3, 2, 2, 2), label
    assert torch.equal(empty(*batch), used(*batch))
    for name, tensor in used.state_dict().items():
        assert torch.equal(tensor, empty.state_dict()[name])
    empty.load_state_dict(kind(4).state_dict(), strict=True)
    assert len(empty.memory.entries(2)) == 0
    with pytest.raises(RuntimeError, match="size mismatch"):
        kind(5).load_state_dict(state)


def test_mean_alignment_is_the_distance_to_the_class_mean():
    clean, label = torch.randn(5, 2, 2, 2), torch.tensor([0, 1, 0, 1, 1])
    centres = torch.stack([clean[label == c].mean(0) for c in (0, 1)])
    estimate = centres[label]
    assert MeanAlignment()(estimate, clean, label).item() == pytest.approx(0, abs=1e-6)
    assert MeanAlignment()(-estimate, clean, label).item() == pytest.approx(2, abs=1e-6)


def test_a_function_is_a_criterion_too():
    assert isinstance(Diversity(), Criterion)
    assert isinstance(lambda estimate, clean, label: estimate.mean(), Criterion)


def test_half_precision_regions_do_not_blur_the_cosines():
    exact, blurred = Diversity(), Diversity()
    first, second, label = torch.randn(8, 4, 4, 4), torch.randn(8, 4, 4, 4), torch.tensor([0, 1] * 4)
    for batch in (first, second):
        with torch.autocast("cpu", torch.bfloat16):
            inside = blurred(batch, batch, label)
        assert torch.equal(inside, exact(batch, batch, label))


def test_mistakes_are_named():
    with pytest.raises(UserError, match="reduce is 'mean'"):
        Diversity(reduce="mean")
    with pytest.raises(UserError, match="memory_size is 0"):
        Diversity(0)
    criterion = Diversity()
    criterion(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), torch.tensor([0]))
    with pytest.raises(UserError, match="vectors of 4 numbers, the batch has 9"):
        criterion(torch.zeros(1, 1, 3, 3), torch.zeros(1, 1, 3, 3), torch.tensor([0]))


SCRIPT = """
import sys
import torch
from roadstill.criteria.memory import ClassMemory

torch.distributed.init_process_group("gloo")
rank = torch.distributed.get_rank()
vectors = torch.arange(48.0).view(3, 2, 4, 2)  # step, process, vector
label = torch.tensor([[[0, 1, 0, 0], [1, 1, 0, 0]]]).expand(3, 2, 4)
for gathered in (False, True):
    memory = ClassMemory(5, gathered)
    for step in range(3):
        memory.push(vectors[step, rank], label[step, rank])
    torch.save([memory.entries(0), memory.entries(1)], f"{sys.argv[1]}/{rank}-{gathered}.pt")
torch.distributed.barrier()
torch.distributed.destroy_process_group()  # one that just leaves may abort the other
"""


def test_memories_of_two_processes_are_local_or_gathered(tmp_path, in_two_processes):
    (tmp_path / "script.py").write_text(SCRIPT)
    in_two_processes(tmp_path / "script.py", tmp_path)
    vectors = torch.arange(48.0).view(3, 2, 4, 2)
    label = torch.tensor([[[0, 1, 0, 0], [1, 1, 0, 0]]]).expand(3, 2, 4)
    whole = ClassMemory(5)
    for step in range(3):
        whole.push(vectors[step].flatten(0, 1), label[step].flatten())
    for rank in range(2):
        own = ClassMemory(5)
        for step in range(3):
            own.push(vectors[step, rank], label[step, rank])
        for gathered, wanted in ((False, own), (True, whole)):
            found = torch.load(tmp_path / f"{rank}-{gathered}.pt", weights_only=True)
            for number, entries in enumerate(found):
                assert torch.equal(entries, wanted.entries(number))
