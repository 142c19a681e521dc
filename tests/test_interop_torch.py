"""Losses inside PyTorch: the same values, and gradients that PyTorch's own check accepts."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from loss_cases import CASES, samples
from ruvector import losses
from ruvector.errors import InvalidArgumentError, InvalidTypeError
from ruvector.losses._base import SPECS

pytest.importorskip("torch", minversion="2.3", reason="PyTorch is not installed: make test-torch")

import torch
from ruvector.interop.torch import LossModule, as_module
from torch_reference import REFERENCES, reduced

NAMES = list(CASES)
GOLDEN = [(name, case) for name, entry in CASES.items() for case in entry.golden]
# Where rows of one input at least belong to single items, so that these may be weighed apart.
SEPARABLE = ["deep_graph_infomax", "distillation", "edge_bce", "feature_reconstruction"]
SEPARABLE += ["graph_classification", "infonce", "multi_hop", "node_classification", "norm"]
SEPARABLE += ["sparsity", "triplet"]
ITEMS = [name for name in NAMES if "none" in SPECS[name].reductions]


def tensors_of(inputs, dtype=torch.float64):
    return {
        name: None if array is None else torch.tensor(array, dtype=dtype, requires_grad=True)
        for name, array in inputs.items()
    }


def filled(name, count):
    """Yield samples that are small but not empty."""
    found = 0
    for sample in samples(name, 200):
        sizes = [array.size for array in sample.inputs.values() if array is not None]
        if found < count and min(sizes) > 0 and sum(sizes) < 300:
            found += 1
            yield sample
    assert found == count


def summed(loss):
    """Return the loss itself or, of a loss of items, their sum."""
    return loss.replace(reduction="sum") if loss.reduction == "none" else loss


def given(tensors):
    return [tensor for tensor in tensors.values() if tensor is not None]


def gradcheck(criterion, tensors, keywords):
    names = [name for name, tensor in tensors.items() if tensor is not None]

    def call(*values):
        return criterion(**(tensors | dict(zip(names, values, strict=True))), **keywords)

    return torch.autograd.gradcheck(call, given(tensors))


@pytest.mark.parametrize("name", NAMES)
def test_gradcheck_accepts_every_loss(name):
    for loss, inputs, keywords in filled(name, 5):
        assert gradcheck(as_module(summed(loss)), tensors_of(inputs), keywords), loss


@pytest.mark.parametrize("name", SEPARABLE)
def test_gradcheck_accepts_items_weighed_apart(name):
    """It goes back from each item alone; inputs whose rows are shared stay constant."""
    apart = 0
    for loss, inputs, keywords in filled(name, 5):
        tensors = tensors_of(inputs)
        shared = {"weight", "bias", "summary"}
        if name == "deep_graph_infomax" and inputs["summary"] is None:
            shared.add("states")
        if name in ("infonce", "multi_hop") and np.ndim(inputs["negatives"]) == 2:
            shared.add("negatives")
        for field in shared & {key for key, tensor in tensors.items() if tensor is not None}:
            tensors[field] = tensors[field].detach()
        criterion = as_module(loss.replace(reduction="none"))
        assert gradcheck(criterion, tensors, keywords), loss
        apart += len(given(tensors))
    assert apart


@pytest.mark.parametrize("name", ITEMS)
def test_items_weighed_alike_give_the_scaled_gradient_of_their_sum(name):
    for loss, inputs, keywords in filled(name, 5):
        tensors = tensors_of(inputs)
        items = as_module(loss.replace(reduction="none"))(**tensors, **keywords)
        items.backward(torch.full_like(items, 3.0))
        want = loss.replace(reduction="sum").value_and_grad(**inputs, **keywords)
        np.testing.assert_allclose(items.sum().item(), want.value, rtol=1e-12, atol=1e-14)
        for field, tensor in tensors.items():
            if tensor is not None:
                np.testing.assert_array_equal(tensor.grad, 3 * getattr(want.gradients, field))


@pytest.mark.parametrize("name", sorted(set(ITEMS) - set(SEPARABLE)))
def test_items_weighed_apart_are_refused_where_rows_are_shared(name):
    refused = 0
    for loss, inputs, keywords in filled(name, 5):
        items = as_module(loss.replace(reduction="none"))(**tensors_of(inputs), **keywords)
        weights = torch.arange(1.0, len(items) + 1, dtype=torch.float64)
        if len(items) > 1:
            with pytest.raises(InvalidArgumentError, match="use reduction='mean' or 'sum'"):
                items.backward(weights)
            refused += 1
    assert refused


@pytest.mark.parametrize(("name", "case"), GOLDEN)
@pytest.mark.parametrize("suffix", ["", "_f32"])
def test_golden_cases_hold_through_autograd(name, case, suffix):
    golden = CASES[name].golden[case](suffix)
    dtype = torch.float32 if suffix else torch.float64
    tensors = tensors_of(golden.inputs, dtype)
    value = as_module(golden.loss)(**tensors, **golden.keywords)
    (2 * value).backward()
    assert value.dtype == dtype
    tolerance = 2e-5 if suffix else 1e-10
    np.testing.assert_allclose(value.item(), golden.value, rtol=tolerance, atol=tolerance / 10)
    for field, want in golden.gradients.items():
        assert tensors[field].grad.dtype == dtype
        atol = tolerance * np.abs(want).max()
        np.testing.assert_allclose(tensors[field].grad / 2, want, rtol=tolerance, atol=atol)


@pytest.mark.parametrize("name", REFERENCES)
def test_autograd_of_the_definition_gives_the_same_value_and_gradients(name):
    for loss, inputs, keywords in filled(name, 25):
        ours, theirs = tensors_of(inputs), tensors_of(inputs)
        value = as_module(summed(loss))(**ours, **keywords)
        want = reduced(REFERENCES[name](loss, theirs, keywords), loss.reduction)
        torch.testing.assert_close(value, want, rtol=1e-10, atol=1e-11)
        value.backward()
        want.backward()
        for a, b in zip(given(ours), given(theirs), strict=True):
            gradient = torch.zeros_like(a) if b.grad is None else b.grad
            torch.testing.assert_close(a.grad, gradient, rtol=1e-9, atol=1e-10)


def triplets(dtype=torch.float64, **options):
    rng = np.random.default_rng(3)
    return [torch.tensor(x, dtype=dtype, **options) for x in rng.standard_normal((3, 6, 5))]


def test_rows_of_a_table_give_one_gradient():
    table = triplets(requires_grad=True)[0]
    rows = [torch.tensor(r) for r in ([0, 1, 1, 5], [2, 2, 3, 0], [4, 4])]
    criterion = as_module(losses.InfoNCELoss(0.5), indexed=True)
    assert torch.autograd.gradcheck(lambda z: criterion(z, *rows), table)
    criterion(table, *rows).backward()
    got, table.grad = table.grad, None
    as_module(losses.InfoNCELoss(0.5))(*(table[r] for r in rows)).backward()
    torch.testing.assert_close(got, table.grad, rtol=1e-12, atol=1e-14)
    with torch.no_grad():
        assert criterion(table, *rows) == criterion(table, *rows)
    with pytest.raises(InvalidArgumentError, match="out is not for PyTorch"):
        criterion(table, *rows, out=np.empty(table.shape))
    with pytest.raises(InvalidArgumentError, match="99 at position 0"):
        criterion(table, torch.tensor([99]), torch.tensor([0]))
    items = as_module(losses.InfoNCELoss(0.5, "none"), indexed=True)(table, *rows)
    with pytest.raises(InvalidArgumentError, match="rows of embeddings are shared"):
        items[0].backward()


@pytest.mark.parametrize("name", [n for n in NAMES if SPECS[n].by_number == "rows"])
def test_rows_by_number_give_what_indexing_in_pytorch_gives(name):
    rng = np.random.default_rng(4)
    for loss, inputs, keywords in filled(name, 2):
        kinds = {entry.name: entry.kind for entry in SPECS[name].inputs}
        tensors = tensors_of(inputs)
        fields = [n for n, t in tensors.items() if t is not None and kinds[n] == "embeddings"]
        rest = {n: t for n, t in tensors.items() if n not in fields} | keywords
        cols = tensors[fields[0]].shape[-1]
        table = torch.tensor(rng.standard_normal((5, cols)), requires_grad=True)
        rows = {n: torch.tensor(rng.integers(0, 5, tensors[n].shape[:-1])) for n in fields}
        single = sum(kind == "embeddings" for kind in kinds.values()) == 1
        named = {"rows": rows[fields[0]]} if single else rows
        got = as_module(summed(loss), indexed=True)(table, **named, **rest)
        got.backward()
        found = [t for n, t in tensors.items() if t is not None and n not in fields]
        slopes = [table.grad, *(t.grad for t in found)]
        for tensor in (table, *found):
            tensor.grad = None
        want = as_module(summed(loss))(**{n: table[r] for n, r in rows.items()}, **rest)
        want.backward()
        torch.testing.assert_close(got, want, rtol=0, atol=0)
        for slope, tensor in zip(slopes, (table, *found), strict=True):
            torch.testing.assert_close(slope, tensor.grad, rtol=1e-11, atol=1e-13)


def test_tensors_marked_as_negated_are_read():
    z = torch.tensor([[1 + 2j, 3 - 1j], [0.5 + 1j, 2j]], dtype=torch.complex128)
    marked = z.conj().imag
    assert marked.is_neg()
    plain = marked.resolve_neg().clone()
    criterion = as_module(losses.NormLoss())
    assert criterion(marked) == criterion(plain)
    z.requires_grad_()
    criterion(z.conj().imag).backward()
    plain.requires_grad_()
    criterion(plain).backward()
    torch.testing.assert_close(z.grad.imag, -plain.grad)


def test_only_what_requires_a_gradient_gets_one():
    anchors, positives, negatives = triplets()
    anchors.requires_grad_()
    value = as_module(losses.InfoNCELoss())(anchors, positives, negatives)
    value.backward()
    assert positives.grad is None
    assert negatives.grad is None
    want = losses.InfoNCELoss().value_and_grad(anchors.detach(), positives, negatives)
    assert value.item() == want.value
    np.testing.assert_array_equal(anchors.grad, want.gradients.anchors)
    with torch.no_grad():
        assert not as_module(losses.InfoNCELoss())(anchors, positives).requires_grad
    assert not as_module(losses.InfoNCELoss())(positives, negatives).requires_grad


def test_a_second_pass_adds_the_same_gradient():
    anchors, positives, _ = triplets(requires_grad=True)
    value = as_module(losses.InBatchInfoNCELoss())(anchors, positives)
    value.backward(retain_graph=True)
    first = anchors.grad.clone()
    value.backward()
    torch.testing.assert_close(anchors.grad, 2 * first, rtol=0, atol=0)
    with pytest.raises(RuntimeError, match="a second time"):
        value.backward()


def test_inputs_may_change_in_place_before_the_way_back():
    rows = [torch.randn(4, 3, requires_grad=True) for _ in range(3)]
    value = as_module(losses.TripletLoss())(*rows)
    with torch.no_grad():
        rows[0].add_(1)
    value.backward()
    assert all(row.grad is not None for row in rows)


def test_gradients_cannot_be_differentiated_again():
    anchors, positives, _ = triplets(requires_grad=True)
    value = as_module(losses.InfoNCELoss())(anchors, positives, positives)
    value.backward(retain_graph=True)
    (gradient,) = torch.autograd.grad(value, anchors, create_graph=True)
    np.testing.assert_array_equal(gradient.detach(), anchors.grad)
    with pytest.raises(RuntimeError, match="gradients of InfoNCELoss cannot be differentiated"):
        (value + gradient.square().sum()).backward()


@pytest.mark.parametrize("name", NAMES)
def test_functional_gradients_are_those_of_backward(name):
    for loss, inputs, keywords in filled(name, 2):
        criterion = as_module(summed(loss))
        tensors = tensors_of(inputs)
        fields = [n for n, t in tensors.items() if t is not None]
        rest = {n: None for n, t in tensors.items() if t is None}

        def value(*args, criterion=criterion, fields=fields, rest=rest, keywords=keywords):
            return 2 * criterion(**dict(zip(fields, args, strict=True)), **rest, **keywords)

        # Graphs and lists have tests of their own; arrays come as tensors too.
        keywords |= {
            n: torch.from_numpy(a) for n, a in keywords.items() if isinstance(a, np.ndarray)
        }
        plain = [tensors[n].detach() for n in fields]
        everything = tuple(range(len(fields)))
        got, found = torch.func.grad_and_value(value, argnums=everything)(*plain)[::-1]
        want = value(*(tensors[n] for n in fields))
        want.backward()
        assert got == want
        for gradient, field in zip(found, fields, strict=True):
            torch.testing.assert_close(gradient, tensors[field].grad, rtol=0, atol=0)


def test_functional_transforms_that_cannot_be_are_told():
    criterion, (x, y, z) = as_module(losses.TripletLoss()), triplets()
    mapped = torch.func.vmap(torch.func.grad(lambda a: criterion(a, y[:1], z[:1])))
    with pytest.raises(InvalidArgumentError, match=r"TripletLoss cannot be mapped by torch\.func"):
        mapped(x[:, None])
    slope = torch.func.grad(lambda a: criterion(a, y, z))
    twice = torch.func.grad(lambda a: slope(a).square().sum())
    with pytest.raises(RuntimeError, match="gradients of TripletLoss cannot be differentiated"):
        twice(x)


def test_other_memory_orders_and_mixed_dtypes():
    whole = torch.randn(5, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    whole.requires_grad_()
    criterion = as_module(losses.InfoNCELoss(0.5))
    assert torch.autograd.gradcheck(lambda w: criterion(w.T[::2], w[:, 1::2].T), whole)
    anchors, positives, _ = triplets(torch.float32, requires_grad=True)
    double = positives.detach().double().requires_grad_()
    value = criterion(anchors, double, triplets()[2])
    value.backward()
    assert (value.dtype, anchors.grad.dtype) == (torch.float64, torch.float32)
    assert double.grad.dtype == torch.float64


def test_tensors_are_read_in_place(monkeypatch):
    tensors = triplets(torch.float32, requires_grad=True)
    seen = []

    def spy(self, *args, **kwargs):
        seen.extend(kwargs.values())
        return original(self, *args, **kwargs)

    original = losses.InfoNCELoss.value_and_grad
    monkeypatch.setattr(losses.InfoNCELoss, "value_and_grad", spy)
    as_module(losses.InfoNCELoss())(*tensors)
    assert [array.ctypes.data for array in seen] == [tensor.data_ptr() for tensor in tensors]


def test_one_line_is_all_that_a_training_loop_changes():
    model = torch.nn.Linear(5, 3)
    criterion = as_module(losses.TripletLoss(margin=1.0))
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    batch, values = triplets(torch.float32), []
    for _ in range(60):
        optimizer.zero_grad()
        value = criterion(*map(model, batch))
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.5 * values[0]


def test_lists_of_tensors_masks_and_graphs_are_taken():
    x, y, _ = triplets()
    starts, others = torch.tensor([0, 1, 1, 1, 1, 1, 1]), torch.tensor([2])
    criterion = as_module(losses.InBatchInfoNCELoss())
    lists = (starts, others)
    want = losses.InBatchInfoNCELoss()(x, y, exclude=(starts.numpy(), others.numpy()))
    assert criterion(x, y, exclude=lists).item() == want
    mask = torch.tensor([True] * 5 + [False])
    own = as_module(losses.NodeClassificationLoss())
    labels = torch.tensor([0, 1, 2, 3, 4, 0])
    assert own(x, labels, mask=mask).item() == losses.NodeClassificationLoss()(
        x.numpy(), labels.numpy(), mask=mask.numpy()
    )


ONES = torch.ones(3, 4)


@pytest.mark.parametrize(
    ("anchors", "error", "message"),
    [
        (ONES.to("meta"), InvalidArgumentError, r"anchors is on device meta .* pass anchors.cpu"),
        (ONES.to_sparse(), InvalidArgumentError, "anchors has layout torch.sparse_coo"),
        (ONES.half(), InvalidTypeError, r"anchors has dtype torch.float16 .* anchors.float\(\)"),
        (ONES.bfloat16(), InvalidTypeError, "anchors has dtype torch.bfloat16"),
        (ONES.long(), InvalidTypeError, "anchors has dtype torch.int64"),
        (ONES.numpy(), InvalidTypeError, "anchors is ndarray but must be a torch.Tensor"),
        (ONES[:2], InvalidArgumentError, "positives has shape"),
        (ONES / 0, InvalidArgumentError, "anchors.*row 0"),
    ],
)
def test_what_cannot_be_used_is_told(anchors, error, message):
    for criterion in (as_module(losses.InfoNCELoss()), as_module(losses.InBatchInfoNCELoss())):
        with pytest.raises(error, match=message):
            criterion(anchors, ONES)


def test_constants_that_cannot_be_used_are_told():
    criterion = as_module(losses.DistillationLoss())
    with pytest.raises(InvalidArgumentError, match=r"pass teacher_logits.detach\(\)"):
        criterion(ONES, ONES.clone().requires_grad_())
    with pytest.raises(InvalidTypeError, match=r"teacher_logits has dtype torch\.bfloat16"):
        criterion(ONES, ONES.bfloat16())
    with pytest.raises(InvalidArgumentError, match="teacher_logits is on device meta"):
        criterion(ONES, ONES.to("meta"))
    with pytest.raises(TypeError, match="teacher_logits"):
        criterion(ONES)


def test_what_is_no_loss_is_refused():
    with pytest.raises(InvalidTypeError, match="loss is str but must be one"):
        as_module("infonce")
    with pytest.raises(InvalidArgumentError, match="has no value_and_grad_indexed"):
        as_module(losses.EdgeBCELoss(), indexed=True)


def test_modules_are_shown_copied_and_pickled():
    criterion = as_module(losses.TripletLoss(margin=0.5), indexed=True)
    shown = (
        "LossModule(TripletLoss(margin=0.5, reduction='mean', distance='euclidean'), indexed=True)"
    )
    assert repr(criterion) == shown
    assert isinstance(criterion, LossModule)
    assert not list(criterion.parameters())
    for twin in (copy.deepcopy(criterion), pickle.loads(pickle.dumps(criterion))):
        assert repr(twin) == shown


def test_importing_ruvector_does_not_import_torch():
    code = "import ruvector, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
