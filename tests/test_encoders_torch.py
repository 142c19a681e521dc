"""Attention and the gated update are PyTorch's, gradients included."""

import numpy as np
import pytest
from ruvector.autograd import Variable, backward, constant
from ruvector.encoders.ruvector_layer import attention, gru
from ruvector.sparse import CSR

torch = pytest.importorskip("torch", reason="no PyTorch: make test-torch")
RNG = np.random.default_rng(0)
ROWS, NEAR, DIM, HEADS = 7, 9, 6, 2


def _doubles(tensor):
    return tensor.detach().numpy().astype(np.float64)


def _check(ours, theirs, pairs):
    """Compare two results, then the gradients of pairs of our variables and their leaves."""
    np.testing.assert_allclose(ours.value, _doubles(theirs), atol=1e-14)
    gradient = RNG.standard_normal(ours.shape)
    backward(ours, gradient)
    theirs.backward(torch.tensor(gradient))
    for variable, leaf, transposed in pairs:
        want = _doubles(leaf.grad)
        np.testing.assert_allclose(variable.grad, want.T if transposed else want, atol=1e-13)


def test_the_gated_update_is_gru_cell():
    cell = torch.nn.GRUCell(DIM, DIM).double()
    leaves = {
        "gru.input.weight": cell.weight_ih,
        "gru.input.bias": cell.bias_ih,
        "gru.state.weight": cell.weight_hh,
        "gru.state.bias": cell.bias_hh,
    }
    own = {n: Variable(np.ascontiguousarray(_doubles(leaf).T)) for n, leaf in leaves.items()}
    x, state = (Variable(RNG.standard_normal((ROWS, DIM))) for _ in range(2))
    theirs = [torch.tensor(v.value, requires_grad=True) for v in (x, state)]
    pairs = [(own[n], leaf, leaf.ndim == 2) for n, leaf in leaves.items()]
    pairs += [(x, theirs[0], False), (state, theirs[1], False)]
    _check(gru(own, x, state), cell(*theirs), pairs)


def test_attention_is_multihead_attention_under_a_mask():
    module = torch.nn.MultiheadAttention(DIM, HEADS, batch_first=True).double()
    module.in_proj_bias.data = torch.tensor(RNG.standard_normal(3 * DIM))
    module.out_proj.bias.data = torch.tensor(RNG.standard_normal(DIM))
    own = {}
    for i, name in enumerate(("query", "key", "value")):
        cut = slice(i * DIM, (i + 1) * DIM)
        own[f"{name}.weight"] = constant(
            np.ascontiguousarray(_doubles(module.in_proj_weight)[cut].T)
        )
        own[f"{name}.bias"] = constant(_doubles(module.in_proj_bias)[cut])
    out = module.out_proj
    own["attended.weight"] = Variable(np.ascontiguousarray(_doubles(out.weight).T))
    own["attended.bias"] = Variable(_doubles(out.bias))
    mask = RNG.random((ROWS, NEAR)) < 0.5
    mask[:, 0] = True
    x, near = (Variable(RNG.standard_normal((n, DIM))) for n in (ROWS, NEAR))
    theirs = [torch.tensor(v.value, requires_grad=True) for v in (x, near)]
    result = module(
        theirs[0][None],
        theirs[1][None],
        theirs[1][None],
        attn_mask=torch.tensor(~mask),
        need_weights=False,
    )[0][0]
    pairs = [(x, theirs[0], False), (near, theirs[1], False)]
    pairs += [(own["attended.weight"], out.weight, True), (own["attended.bias"], out.bias, False)]
    ours = attention(own, CSR.from_dense(mask.astype(np.float32)), x, near, heads=HEADS)
    _check(ours, result, pairs)
