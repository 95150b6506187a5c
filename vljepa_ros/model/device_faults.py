# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What an exception says of the device: out of memory, which passes, or lost, which only a new process mends."""
from __future__ import annotations

import gc

import torch

# What torch's errors of a device that computes no more begin with or contain, where they are plain RuntimeErrors.
LOST = ("CUDA error", "CUDA driver error", "HIP error", "cuDNN error", "CUDNN_STATUS_", "CUBLAS_STATUS_", "device-side assert")
NO_MEMORY = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")


def is_out_of_memory(error: BaseException) -> bool:
    """The device had no room for this; a smaller batch may fit, and the next clip too."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY)


def is_device_lost(error: BaseException) -> bool:
    """Such errors are sticky: every later call of this process fails, too."""
    if is_out_of_memory(error):
        return False
    accelerator_error = getattr(torch, "AcceleratorError", None)  # since torch 2.8
    if accelerator_error is not None and isinstance(error, accelerator_error):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in LOST)


def free(error: BaseException) -> None:
    """Hand back what nobody uses, after an out-of-memory. `error` loses its traceback, which holds the tensors of that pass."""
    error.__traceback__ = None
    gc.collect()
    torch.cuda.empty_cache()  # does nothing where this process has not touched a GPU
