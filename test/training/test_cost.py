# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a recipe is said to cost, against closed formulas, against what real tensors take, and against a real step.

Shapes: B rows, N visual tokens, L query tokens, C hidden size.
"""

from __future__ import annotations

import gc
import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from vljepa_ros.model import Predictor, PredictorConfig, TextEncoder, VisionEncoder, attention, tiny
from vljepa_training import cost, optimizers, parallel
from vljepa_training.footprint import build, flop_counter, measure, unreal
from vljepa_training.gradcache import cached_backward
from vljepa_training.joint_recipes import JOINT_RECIPES, Phase, criterion, phase_config
from vljepa_training.part_footprints import Sizes, measured
from vljepa_training.settings import changed
from vljepa_training.stages.contrastive import AlignModule, Contrastive
from vljepa_training.stages.joint import Collate, JointTask
from vljepa_training.trainer import Schedule

SMALL = PredictorConfig(
    hidden_size=64, layers=3, heads=4, kv_heads=2, head_dim=16, intermediate_size=96, vocab_size=50, max_query_tokens=16
)


@pytest.fixture(autouse=True)
def fused(monkeypatch):
    """Real tensors take the same way through attention as those without memory."""
    monkeypatch.setattr(attention, "PLAIN_SCORES", 0)
    monkeypatch.setattr(attention, "GROUPED_AND_MASKED", ())


def tiny_parts(device: str) -> dict[str, tuple[nn.Module, callable, bool]]:
    """Module, what makes its inputs, whether it is trained."""
    config = tiny()
    size = config.vision.image_size
    make = build if device == "none" else lambda make: make()
    ids = lambda: (torch.ones(3, 7, dtype=torch.long), torch.ones(3, 7, dtype=torch.bool))  # noqa: E731
    predictor = make(lambda: Predictor(config.predictor, config.vision.hidden_size, config.dim))
    visual = (3, config.vision.tokens, config.vision.hidden_size)
    return {
        "vision": (make(lambda: VisionEncoder(config.vision)), lambda: (torch.randn(3, 4, 3, size, size),), True),
        "frozen vision": (make(lambda: VisionEncoder(config.vision)), lambda: (torch.randn(3, 4, 3, size, size),), False),
        "predictor": (predictor, lambda: (torch.randn(visual), *ids()), True),
        "text_encoder": (make(lambda: TextEncoder(config.text_encoder, config.dim)), ids, True),
    }


def test_flops_are_those_of_the_formula():
    """6 for each weight and token that it meets, and attention; no gradient goes to what is not trained."""
    B, N, L, vision_dim, dim = 2, 20, 5, 24, 40
    predictor = build(lambda: Predictor(SMALL, vision_dim, dim))
    with unreal():
        inputs = (torch.empty(B, N, vision_dim), torch.empty(B, L, dtype=torch.long), torch.empty(B, L, dtype=torch.bool))
        found = measure(predictor, inputs, train=True)
    C, tokens = SMALL.hidden_size, N + L
    layers = sum(p.numel() for p in predictor.stack.blocks.parameters() if p.ndim == 2)
    first = vision_dim * C * N + C * C * L  # the projections
    scores = SMALL.layers * SMALL.heads * SMALL.head_dim * tokens**2
    assert found.forward == B * (2 * (layers * tokens + first + C * dim) + 4 * scores)
    assert found.backward == B * (4 * (layers * tokens + C * dim) + 2 * first + 10 * scores)  # scores are computed again


@pytest.mark.parametrize("part", ["vision", "frozen vision", "predictor", "text_encoder"])
@pytest.mark.parametrize("bf16", [True, False])
def test_without_memory_everything_measures_as_with_it(part, bf16):
    module, inputs, train = tiny_parts("cpu")[part]
    real = measure(module, inputs(), train, bf16)
    module, inputs, train = tiny_parts("none")[part]
    with unreal():
        found = measure(module, inputs(), train, bf16)
    if part == "text_encoder" and bf16:  # one softmax is kept in fp32 too
        assert found[:2] == real[:2] and found[2:] == pytest.approx(real[2:], rel=0.1)
    else:
        assert found == real
    assert real.peak >= real.saved and (real.saved > 0) == (real.backward > 0) == train


@pytest.mark.parametrize("part", ["vision", "predictor", "text_encoder"])
def test_bytes_kept_are_those_that_real_tensors_hold(part):
    """Counted another way: by the addresses of what autograd keeps."""
    module, inputs, _ = tiny_parts("cpu")[part]
    given = inputs()
    own = {t.untyped_storage().data_ptr() for t in (*module.parameters(), *module.buffers(), *given)}
    kept: dict[int, int] = {}

    def keep(x: torch.Tensor) -> torch.Tensor:
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x), torch.autocast("cpu", torch.bfloat16):
        out = module(*given)
    assert measure(module, given, True).saved == sum(size for address, size in kept.items() if address not in own) > 0
    del out


def test_the_peak_is_what_the_allocator_sees():
    """The profiler is told of every allocation; a kernel's own are among them, so that its peak may be a little higher."""
    predictor = Predictor(replace(SMALL, hidden_size=256, intermediate_size=704), 64, 32)
    inputs = (torch.randn(4, 200, 64), torch.ones(4, 6, dtype=torch.long), torch.ones(4, 6, dtype=torch.bool))
    found = measure(predictor, inputs, train=True)
    for p in predictor.parameters():
        p.grad = torch.zeros_like(p)
    gc.collect()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        with torch.autocast("cpu", torch.bfloat16):
            out = predictor(*inputs)
        out.backward(torch.ones_like(out))
    now = peak = 0
    for event in sorted(profiler.profiler.kineto_results.events(), key=lambda e: e.start_ns()):
        if event.name() == "[memory]":
            now += event.nbytes()
            peak = max(peak, now)
    assert found.peak == pytest.approx(peak, rel=0.1), (found, peak)


def test_a_linear_layer_keeps_its_input():
    layers = nn.Sequential(nn.Linear(8, 16), nn.GELU())
    found = measure(layers, (torch.randn(5, 8),), train=True, bf16=False)
    assert (found.forward, found.backward) == (2 * 5 * 8 * 16,) * 2 and found.saved == 4 * 5 * 16
    assert layers[0].weight.grad is None


@pytest.mark.parametrize("micro", [0, 3])
@pytest.mark.parametrize("train_vision", [False, True])
def test_a_steps_flops_are_those_of_a_real_step(micro, train_vision):
    recipe, batch = JOINT_RECIPES["tiny_joint"](), 6
    schedule = Schedule(1, batch, 1e-3, micro=micro, bf16=False)
    phase = Phase("it", 4, {"image": 1.0}, schedule, train_vision=train_vision)
    config, said = phase_config(recipe, phase), cost.phase_cost(recipe, phase, ranks=1)
    vision = VisionEncoder(config.vision).requires_grad_(train_vision)
    predictor = Predictor(config.predictor, config.vision.hidden_size, config.dim)
    text_encoder = TextEncoder(config.text_encoder, config.dim)
    module = AlignModule(predictor, text_encoder, criterion(recipe), vision if train_vision else None)
    query, target = (recipe.knobs[name].value for name in ("query_tokens", "target_tokens"))
    ids = torch.arange(batch * target).reshape(batch, target) % 300 + 1
    rows = {
        "frames": torch.zeros(batch, 4, config.vision.image_size, config.vision.image_size, 3, dtype=torch.uint8),
        "query_ids": torch.ones(batch, query, dtype=torch.long),
        "query_mask": torch.ones(batch, query, dtype=torch.bool),
        "ids": ids,
        "mask": torch.ones_like(ids, dtype=torch.bool),
        "text": torch.arange(batch),
        "group": torch.arange(batch),
        "wrong_ids": ids[:1],
        "wrong_mask": torch.ones(1, target, dtype=torch.bool),
        "wrong_group": torch.zeros(0, dtype=torch.long),
    }
    task = JointTask(module, vision, Collate({}, config, 4), None, None, batch)
    trained = [p for p in module.parameters() if p.requires_grad]
    with flop_counter() as counter:
        if micro:
            cached_backward(task, rows, micro, trained, parallel.make("none", module))
        else:
            task.loss(rows)[0].backward()
    loss = 3 * 2 * batch * batch * config.dim  # similarities, and their two gradients
    assert counter.get_total_flops() == sum(said.sample_flops.values()) * batch + loss
    assert len(said.sample_flops) == 5 + train_vision + (2 + train_vision if micro else 0)


def test_optimizer_gradients_and_weights_are_as_large_as_real_ones():
    recipe = JOINT_RECIPES["tiny_joint"]()
    config = phase_config(recipe, recipe.phases[0])
    for kind in ("adamw", "muon"):
        phase = replace(recipe.phases[0], schedule=replace(recipe.phases[0].schedule, optimizer=kind))
        said = cost.phase_cost(recipe, phase, ranks=1).memory
        vision = VisionEncoder(config.vision)
        predictor = Predictor(config.predictor, config.vision.hidden_size, config.dim)
        module = AlignModule(predictor, TextEncoder(config.text_encoder, config.dim), nn.Identity())
        groups = Contrastive(module, 1).groups()
        split = [
            {"params": [p for p in group["params"] if p.requires_grad and chosen(p)], "hidden": hidden, "weight_decay": 0.0}
            for group in groups
            for ids in [{id(p) for p in group.get("hidden", ())}]
            for chosen, hidden in ((lambda p, ids=ids: id(p) in ids, True), (lambda p, ids=ids: id(p) not in ids, False))
        ]
        optimizer = optimizers.make(kind, [group for group in split if group["params"]], 1e-3)
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad = torch.zeros_like(p)
        optimizer.step()
        state = [t for part in optimizer.parts for s in part.state.values() for t in s.values() if t.ndim]
        assert said["optimizer"] == sum(t.numel() * t.element_size() for t in state)
        assert said["gradients"] == sum(p.grad.nbytes for p in module.parameters() if p.grad is not None)
        assert said["weights"] == sum(p.nbytes for m in (module, vision) for p in m.parameters())


def test_ranks_and_engines_share_what_they_share():
    recipe = JOINT_RECIPES["tiny_joint"]()
    phase = replace(recipe.phases[2], schedule=replace(recipe.phases[2].schedule, batch=64, micro=4))
    recipe = replace(recipe, phases=(phase,))
    kinds = ((1, "none"), (4, "ddp"), (4, "fsdp2"))
    alone, replicated, sharded = (cost.costs(changed(recipe, [f"*.parallel={kind}"]), ranks)[0] for ranks, kind in kinds)
    assert alone.flops == replicated.flops == sharded.flops and alone.rows == replicated.rows == 4
    for name in ("weights", "gradients", "optimizer"):
        assert alone.memory[name] == replicated.memory[name]
        assert sharded.memory[name] == -(-alone.memory[name] // 4 // 4) * 4
    assert replicated.memory["gradients again, in DDP's buckets"] == alone.memory["gradients"]
    assert 0 < sharded.memory["gathered by FSDP2"] <= alone.memory["weights"]
    assert replicated.memory["batch"] == alone.memory["batch"] // 4
    assert alone.card_days(1e6) == pytest.approx(alone.flops / 1e6 / 86400)
    with pytest.raises(ValueError, match="ranks must be 1 to 64, the batch of tiny_joint's long_video, got 65"):
        cost.costs(recipe, 65)


def test_cached_features_cost_the_x_encoder_once_and_disk():
    recipe = JOINT_RECIPES["tiny_joint"]()
    phase = recipe.phases[1]
    cached, seen = (cost.phase_cost(recipe, p, 1) for p in (phase, replace(phase, cached=0)))
    forward = seen.sample_flops["X-Encoder, forward"]
    assert cached.features_flops == phase.cached * forward > 0 == seen.features_flops
    assert cached.disk == phase.cached * 32 * 16 * 2 and seen.disk == 0
    assert seen.flops - cached.flops == forward * (seen.samples - phase.cached)
    kept = "visual tokens kept for the second pass"
    assert (cached.memory[kept], seen.memory[kept]) == (0, phase.schedule.batch * 32 * 16 * 4)
    assert cached.memory["weights"] == seen.memory["weights"] - 4 * cached.frozen["vision"]


def test_a_frozen_y_encoder_has_no_backward():
    recipe = JOINT_RECIPES["tiny_joint"]()
    found = cost.phase_cost(recipe, replace(recipe.phases[0], y_multiplier=0.0), 1)
    assert "Y-Encoder, backward" not in found.sample_flops and found.trained["text_encoder"] == 0


@pytest.fixture(scope="module")
def paper_costs() -> dict[str, list[cost.PhaseCost]]:
    return {name: cost.costs(JOINT_RECIPES[name]()) for name in ("paper_v2_pretrain", "single_gpu_pretrain")}


def test_the_papers_size(paper_costs):
    """Its parameters, and FLOPs of two for each weight and token of the X-Encoder's blocks and those of attention."""
    video = paper_costs["paper_v2_pretrain"][1]
    assert video.frozen["vision"] == pytest.approx(304e6, rel=0.01) and video.trained["vision"] == 0
    assert video.trained["predictor"] == pytest.approx(496e6, rel=0.01)
    assert video.frozen["predictor"] == 128256 * 2048
    assert video.trained["text_encoder"] == pytest.approx(304e6, rel=0.01)
    tokens = 1024
    forward = 24 * (2 * 12 * 1024**2 * tokens + 4 * tokens**2 * 1024) + 2 * 1536 * 1024 * tokens
    assert video.sample_flops["X-Encoder, forward"] == forward
    assert paper_costs["paper_v2_pretrain"][2].trained["vision"] == video.frozen["vision"]


def test_recipes_fit_their_cards_with_room(paper_costs):
    for name, found in paper_costs.items():
        card = cost.CARDS[JOINT_RECIPES[name]().knobs["card"].value]
        for phase in found:
            assert 0.3 < phase.bytes / card.memory < 0.85, (name, phase.phase.name)


def test_rows_at_once_are_what_memory_grows_with():
    config = phase_config(JOINT_RECIPES["tiny_joint"](), JOINT_RECIPES["tiny_joint"]().phases[2])
    few, many = (
        measured(config, "predictor", {"predictor": True, "vision": False}, Sizes(rows, 4, 8, False)) for rows in (8, 16)
    )
    assert many.forward == 2 * few.forward and 1.9 < many.saved / few.saved <= 2


def test_the_command(tmp_path, capsys):
    file = tmp_path / "cost.json"
    cost.main(
        [
            *("tiny_joint", "--ranks", "2", "--set", "*.parallel=fsdp2", "--flops-per-s", "1e9", "--utilisation", "0.5"),
            *("--json", str(file)),
        ]
    )
    shown, kept = capsys.readouterr().out, json.loads(file.read_text())
    recipe = JOINT_RECIPES["tiny_joint"]()
    for knob, choice in recipe.knobs.items():
        assert f"{knob} = " in shown and choice.reason in shown
    for phase, found in zip(recipe.phases, kept["phases"]):
        assert f"phase {phase.name}: " in shown
        assert found["samples"] == 48 and found["ranks"] == 2 and found["memory"]["gathered by FSDP2"] > 0
        assert found["card_days_estimate"] == pytest.approx(found["flops"] / 0.5e9 / 86400)
    assert "an estimate" in shown and "16 samples, 3 epochs" in shown
    assert kept["card"]["flops_per_s"] == 1e9 and kept["recipe"]["name"] == "tiny_joint"


def test_what_does_not_fit_a_card_is_said_with_the_remedy(capsys):
    recipe = JOINT_RECIPES["tiny_joint"]()
    (found, *_) = cost.print_recipe(replace(recipe, phases=recipe.phases[:1]), 1, cost.Card(1e12, 1e3))
    assert found.bytes > 1e3 and "it does not fit: fewer rows at once (micro)" in capsys.readouterr().out
    cost.print_recipe(replace(recipe, phases=recipe.phases[:1]), 1)
    assert "does not fit" not in capsys.readouterr().out


def test_what_workers_make_ahead_counts_where_they_read(monkeypatch, capsys):
    monkeypatch.setattr(cost, "GB", 1.0)
    cost.print_recipe(JOINT_RECIPES["tiny_joint"](), 1, workers=6)
    said = [line.split() for line in capsys.readouterr().out.splitlines() if "main memory" in line]
    batches = [float(line[0]) / found.memory["batch"] for line, found in zip(said, cost.costs(JOINT_RECIPES["tiny_joint"](), 1))]
    assert batches == [29, 5, 29, 29], "the second phase has its features on disk"


def test_ranks_that_cannot_be_are_refused(capsys):
    with pytest.raises(SystemExit):
        cost.main(["tiny_joint", "--ranks", "0"])
    assert "ranks must be 1 to 8, the batch of tiny_joint's image, got 0" in capsys.readouterr().err
