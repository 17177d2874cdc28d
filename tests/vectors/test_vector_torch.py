from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from vector_strategies import batches

from sparsearch.errors import InvalidInputError, InvalidVectorError
from sparsearch.vectors import SparseVectors, Vocabulary

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")


@settings(max_examples=50, deadline=None)
@given(batches(max_id=300))
def test_round_trip(vectors: SparseVectors) -> None:
    tensor = vectors.to_torch(columns=max(1, vectors.dimension))
    assert tensor.is_coalesced()
    assert tensor.dtype == torch.float32
    assert SparseVectors.from_torch(tensor, vectors.vocabulary) == vectors
    assert SparseVectors.from_torch(tensor.to_sparse_csr(), vectors.vocabulary) == vectors
    rows = [dict(enumerate(row)) for row in tensor.to_dense().tolist()]
    assert SparseVectors.from_dicts(rows).drop_zeros().nnz == vectors.drop_zeros().nnz


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "int64", "uint8"])
def test_dtypes(dtype: str) -> None:
    tensor = torch.tensor([[0, 2], [1, 0]], dtype=getattr(torch, dtype)).to_sparse()
    assert SparseVectors.from_torch(tensor).to_dicts() == [{1: 2.0}, {0: 1.0}]


def test_tensors_that_need_gradients() -> None:
    tensor = torch.eye(2, requires_grad=True).to_sparse()
    assert SparseVectors.from_torch(tensor).to_dicts() == [{0: 1.0}, {1: 1.0}]


def coo(indices: list[list[int]], values: Any, shape: tuple[int, ...] = (2, 5)) -> Any:
    return torch.sparse_coo_tensor(indices, values, shape, check_invariants=True)


def test_uncoalesced_is_sorted_but_not_summed() -> None:
    tensor = coo([[1, 0, 0], [2, 4, 1]], [1.0, 2.0, 3.0])
    assert SparseVectors.from_torch(tensor).to_dicts() == [{1: 3.0, 4: 2.0}, {2: 1.0}]
    twice = coo([[1, 0, 1], [2, 4, 2]], [1.0, 2.0, 3.0])
    with pytest.raises(InvalidVectorError, match="row 1: duplicate term 2"):
        SparseVectors.from_torch(twice)
    assert SparseVectors.from_torch(twice.coalesce()).to_dicts() == [{4: 2.0}, {2: 4.0}]


def test_refusals() -> None:
    vocabulary = Vocabulary(["a", "b"])
    bad = {
        "layout is torch.strided": torch.eye(2),
        "layout is torch.sparse_csc": torch.eye(2).to_sparse_csc(),
        "layout is torch.sparse_coo": coo([[0]], [[1.0] * 5]),
        "1 dimensions": torch.ones(2).to_sparse(),
        "3 dimensions": torch.ones(1, 1, 1).to_sparse(),
        "term id 4": coo([[0], [4]], [1.0]),
        "NaN weight for term 'b'": coo([[0], [1]], [float("nan")]),
        "dtype bool": coo([[0], [1]], [True]),
        "dtype complex64": coo([[0], [1]], [1j]),
        "is too large": coo([[0], [1]], torch.tensor([1e300], dtype=torch.float64)),
        "list is not a torch tensor": [[1.0]],
    }
    for reason, tensor in bad.items():
        with pytest.raises(InvalidVectorError, match=reason):
            SparseVectors.from_torch(tensor, vocabulary)
    with pytest.raises(InvalidInputError, match="columns"):
        SparseVectors.from_dicts([{7: 1.0}]).to_torch(columns=7)
