# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The model card: every figure of the reports is in it, and no number that no file has."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from safetensors.numpy import load_file

from vljepa_ros.model import VLJEPA, checkpoint
from vljepa_training import card
from vljepa_training.card import main, number
from vljepa_training.tabletop import dataset
from vljepa_training.tabletop_run import FIRST_STILL

LITERALS = r"2512\.10942|V-JEPA 2|ROS 2|ros2|apache-2\.0|95 %|norm 1|\b[a-z]+\d+\b"  # names with a digit in them
ACTIONS = {"value": 0.5714, "low": 0.3111, "high": 0.8222, "n": 77}
REPORT = {
    "checkpoint": "tiny",
    "seed": 41,
    "seconds": {"actions": 98765.4},
    "action_top1": ACTIONS,
    "action_worst": 0.1212,
    "action_per_class": {
        "push_left": {"value": 0.9191, "low": 0.4321, "high": 0.9876, "n": 11},
        "stack": {"value": 0.1212, "low": 0.0123, "high": 0.4567, "n": 13},
        "drop": {"value": None, "low": None, "high": None, "n": 0},
    },
    "action_confused": {"stack": {"stack": 2, "place": 11}, "push_left": {"push_left": 10, "pick": 1}},
    "vqa_blind": {"value": 0.3537, "n": 55},
    "never_measured": {"value": None, "low": None, "high": None, "n": 0},
    "splits": {"busy": {"action_top1": {"value": 0.4747, "low": 0.2929, "high": 0.6464, "n": 19, "groups": 7}}},
    "confidence_table": [{"from": 0.0, "texts": 3131}],
    "examples": [{"caption": "The robot says 4242."}],
}
STREAMS = {
    "seed": 42,
    "streams": {"boundary_f1": 0.8383, "missed": {"stack": 6}},
    "still": {"noise": {"triggers": ["change"], "texts": 17}},
}


def stage(folder: Path, steps: int, done: int) -> None:
    folder.mkdir(parents=True)
    schedule = {"steps": steps, "batch": 23, "lr": 0.0037, "optimizer": "muon", "decay": "cosine"}
    (folder / "schedule.json").write_text(json.dumps(schedule))
    rows = [{"step": 1, "seconds": 2.0}, {"step": done, "seconds": 1260.0}, {"step": done, "eval": {"score": 1.0}}]
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "best.json").write_text(json.dumps({"score": 9.9999, "state_r1": 0.2626, "step": done}))


@pytest.fixture
def made(tiny_checkpoint, tmp_path):
    """A checkpoint that nobody else uses, two reports about it and the logs of a training."""
    folder = tmp_path / "weights"
    shutil.copytree(tiny_checkpoint, folder)
    sha256 = checkpoint.read_manifest(folder).sha256
    reports = [tmp_path / "clips.json", tmp_path / "streams.json"]
    for file, report in zip(reports, (REPORT, STREAMS)):
        file.write_text(json.dumps(report | {"sha256": sha256}))
    for name, steps in (("align", 61), ("finetune", 311)):
        stage(tmp_path / "logs" / name, steps, steps)
    recipe = {"streams": 809, "busy": 607, "stills": 3511, "held": 46, "unseen": 253}
    (tmp_path / "logs" / "recipe.json").write_text(json.dumps(recipe))
    return folder, reports, tmp_path / "logs"


def arguments(made) -> list[str]:
    folder, reports, logs = made
    return [str(folder), "--reports", *map(str, reports), "--logs", str(logs)]


def leaves(value) -> list:
    """All numbers and words in JSON."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [leaf for v in inside for leaf in leaves(v)] if isinstance(value, dict | list) else [value]


def test_every_figure_is_in_it_with_interval_and_n(made):
    main(arguments(made))
    text = (made[0] / "README.md").read_text()
    rows = {line.split("|")[1].strip(" `"): line for line in text.splitlines() if line.startswith("| `")}
    assert "| 0.571 (0.311 to 0.822, n 77) |" in rows["action_top1"] and "the right action" in rows["action_top1"]
    assert "0.919 (0.432 to 0.988, n 11)" in rows["push_left"] and "0.121 (0.012 to 0.457, n 13)" in rows["stack"]
    assert "| 0.354 (n 55) |" in rows["vqa_blind"] and "0.475 (0.293 to 0.646, n 19)" in rows["busy.action_top1"]
    assert "0.838" in rows["boundary_f1"] and "| 17 |" in rows["noise.texts"] and "| 6 |" in rows["missed.stack"]
    assert "drop" not in rows and "never_measured" not in text and "3131" not in text and "4242" not in text
    assert "Weakest in `action_per_class, seed 41`: stack 0.121, push_left 0.919." in text
    assert "stack is taken for place in 11 of 13" in text and "pick in 1" not in text
    assert rows["align"].split("|")[3:8] == [" 61 ", " 23 ", " 0.0037, cosine ", " muon ", " 21 "]
    assert "state_r1 0.263" in rows["finetune"] and "42 minutes in all" in text
    assert "809 streams" in text and "607 busy" in text and "3511 further" in text and "the last 46 streams, half" in text
    assert "253 plain and as many busy streams more" in text


def test_the_header_is_what_a_hub_reads_and_the_names_are_real(made):
    main(arguments(made))
    text = (made[0] / "README.md").read_text()
    assert text.startswith("---\n")
    header = yaml.safe_load(text.split("---\n")[1])
    assert header["license"] == "apache-2.0" and header["library_name"] == "vljepa_ros" and "ros2" in header["tags"]
    code = text.split("```python\n")[1].split("```")[0]
    compile(code, "card", "exec")
    assert all(hasattr(VLJEPA, name) for name in re.findall(r"\b(?:model|VLJEPA)\.(\w+)\(", code))
    assert f'from_pretrained("{made[0].name}")' in code
    manifest = checkpoint.read_manifest(made[0])
    for name, facts in manifest.files.items():
        assert f"| `{name}` | {facts['size']} | `{facts['sha256']}` |" in text
    assert manifest.sha256 in text
    for part, files in manifest.weights.items():
        count = sum(array.size for file in files for array in load_file(made[0] / file).values())
        assert re.search(rf"\| `{part}` \|.*\| {count:,} \|", text)


def test_no_number_is_invented(made):
    """Every number is a leaf of some file, as the card writes numbers, or a sum of such."""
    main(arguments(made))
    folder, reports, logs = made
    files = [*reports, folder / "config.json", *logs.rglob("*.json")]
    known = {number(leaf) for file in files for leaf in leaves(json.loads(file.read_text())) if isinstance(leaf, int | float)}
    known |= {f"{leaf:g}" for file in files for leaf in leaves(json.loads(file.read_text())) if isinstance(leaf, float)}
    manifest = checkpoint.read_manifest(folder)
    counts = [sum(a.size for f in fs for a in load_file(folder / f).values()) for fs in manifest.weights.values()]
    sizes = [sum(manifest.files[f]["size"] for f in fs) for fs in manifest.weights.values()]
    known |= {f"{n:,}" for n in (*counts, sum(counts))} | {f"{n / 2**20:.1f}" for n in (*sizes, sum(sizes))}
    known |= {"21", "42"}  # minutes of a stage, and of both
    known |= {"13"}  # clips of stack, of which 11 were taken for place
    known |= {str(n) for n in (manifest.config.vision.tokens, manifest.config.predictor.merges, FIRST_STILL)}
    known |= {f"{n:g}" for n in (dataset.SECONDS, dataset.FPS, dataset.STILLS)}
    known |= {"0"}  # from which seeds count
    text = re.sub(LITERALS, "", (folder / "README.md").read_text())
    text = re.sub(r"`[^`\n]*`", "", text)  # names, hashes
    told = set(re.findall(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?", text.replace(", ", " ; ")))
    assert told and told <= known, sorted(told - known)


def test_the_template_has_no_number_of_its_own():
    template = (Path(card.__file__).parent / card.TEMPLATE).read_text()
    words = re.sub(LITERALS + r"|retrieval_r1_500|seeds from 0", "", re.sub(r"\{%.*?%\}", "", template, flags=re.S))
    assert re.findall(r".*\d.*", words) == []


def test_what_no_file_says_is_left_out(made):
    main([str(made[0])])
    text = (made[0] / "README.md").read_text()
    assert not {"## Training", "## Figures", "Weakest", "seed", "Never trained on"} & set(re.findall(r"## \w+|\w[\w ]*\w", text))
    assert VLJEPA.from_pretrained(made[0], device="cpu", engine="torch").sha256 in text


def test_files_about_another_checkpoint_are_refused(made, tmp_path):
    folder, reports, logs = made

    def refused(match: str) -> None:
        with pytest.raises(SystemExit, match=match):
            main(arguments(made))
        assert [p.name for p in folder.glob("*README*")] == []

    right = reports[1].read_text()
    reports[1].write_text(json.dumps(STREAMS | {"sha256": "0" * 64}))
    refused("streams.json is a report about another checkpoint")
    reports[1].write_text(json.dumps(json.loads(right) | {"seed": 41, "action_worst": 0.5}))
    refused("streams.json and another report of that seed differ in action_worst")
    reports[1].write_text("{")
    refused("streams.json is no JSON")
    reports[1].write_text(right)
    stage(logs / "settle", 90, 50)
    refused("settle is at step 50 of 90")
    shutil.rmtree(logs / "settle")
    from vljepa_ros.model.random_checkpoint import make_tiny

    make_tiny(logs / "checkpoint", seed=1)
    refused("made another checkpoint")
    shutil.rmtree(logs / "checkpoint")
    weights = folder / "predictor.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    refused("predictor.safetensors: is truncated")


def test_a_bundled_checkpoint_goes_by_its_name(made, monkeypatch):
    monkeypatch.setattr(checkpoint, "bundled", lambda: {"tabletop": made[0]})
    main(["tabletop"])
    assert 'VLJEPA.from_pretrained("tabletop")\n' in (made[0] / "README.md").read_text()
