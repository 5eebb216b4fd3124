"""Memory goes round, and never while somebody still refers to it."""

from __future__ import annotations

import pickle

import numpy as np
import torch

from neurodata.batches.buffers import Buffers

SHAPE = (8, 64, 64)


def test_memory_that_nobody_holds_is_handed_out_again():
    buffers = Buffers()
    first = buffers.empty(SHAPE, torch.float32)
    place = first.data_ptr()
    assert place % 4096 == 0
    del first
    assert buffers.empty(SHAPE, torch.float32).data_ptr() == place


def test_memory_is_not_handed_out_while_anything_refers_to_it():
    buffers = Buffers()
    held = []
    for number in range(40):
        tensor = buffers.empty(SHAPE, torch.float32)
        tensor.fill_(number)
        held.append(
            {0: tensor, 1: tensor[2:3, :, 4], 2: tensor.numpy(), 3: tensor.numpy()[1], 4: tensor.view(-1)}[number % 5]
        )
        del tensor
    for number, view in enumerate(held):
        assert (np.asarray(view) == number).all()


def test_types_sizes_and_small_tensors():
    buffers = Buffers()
    for shape, dtype in (
        ((3, 2), torch.int64),
        (SHAPE, torch.bool),
        ((1, 1 << 17), torch.int64),
        ((0, 5), torch.float32),
    ):
        tensor = buffers.empty(shape, dtype)
        assert (tuple(tensor.shape), tensor.dtype) == (shape, dtype)
        assert tensor.is_contiguous()


def test_what_is_sent_to_a_worker_holds_no_memory():
    buffers = Buffers()
    kept = buffers.empty(SHAPE, torch.float32)
    assert len(pickle.dumps(buffers)) < 1000
    assert kept.shape == SHAPE
