# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CIDEr-D: how far captions share their rarer words with what people (here: the simulator) said of the same clips.

Vedantam et al. 2015, section 5: n-grams of 1 to 4 words weighted by how few clips' references hold them, cosine per n with the
candidate's counts clipped to the reference's, a Gaussian penalty on the difference in length, the mean over n and references,
times 10. Equal to the COCO caption evaluation's CIDEr within rounding, down to its counting a text's length in bigrams.
Texts come as one string of words divided by spaces; `words` makes one of a sentence. Knows nothing of models or clips.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LONGEST = 4  # words in an n-gram
SIGMA = 6.0  # of the length penalty, in bigrams

Gram = tuple[str, ...]


@dataclass(frozen=True)
class CiderD:
    """`mean` over the clips, and each clip's own score. 0 is nothing shared, 10 an only reference word for word."""

    mean: float
    each: tuple[float, ...]


@dataclass(frozen=True)
class _Weighed:
    grams: tuple[dict[Gram, float], ...]  # by length, tf-idf
    norms: tuple[float, ...]
    length: int


def words(sentence: str) -> str:
    """Lower case, punctuation apart from apostrophes and hyphens gone: what the COCO tokenizer leaves of plain English."""
    return " ".join(re.findall(r"[\w'-]+", sentence.lower()))


def cider_d(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> CiderD:
    """Score `candidates[i]` against all of `references[i]`; how rare an n-gram is, is counted over these clips' references.

    One clip alone has no rare words: its score is 0. ValueError where the numbers of clips differ, or a clip has no reference.
    """
    if len(candidates) != len(references):
        raise ValueError(f"every candidate needs its references, got {len(candidates)} candidates and {len(references)} lists")
    if isinstance(candidates, str):
        raise TypeError("candidates is a list of texts, not one text")
    corpus = Corpus(references)
    each = tuple(corpus.score(candidate, i) for i, candidate in enumerate(candidates))
    return CiderD(float(np.mean(each)) if each else float("nan"), each)


class Corpus:
    """The references of a set of clips, weighed once, for any number of candidates.

    What many ways of captioning say of the same clips is comparable: how rare an n-gram is, these references alone decide.
    """

    def __init__(self, references: Sequence[Sequence[str]]) -> None:
        """ValueError where a clip has no reference."""
        if any(isinstance(texts, str) for texts in references):
            raise TypeError("references is a list of lists of texts, not of texts")
        if missing := [i for i, texts in enumerate(references) if not texts]:
            raise ValueError(f"references[{missing[0]}] is empty")
        counted = [[_count(text) for text in texts] for texts in references]
        self._clips_with = Counter(gram for texts in counted for gram in set().union(*texts))
        self._log_clips = float(np.log(len(references))) if references else 0.0
        self._true = [[self._weigh(counts) for counts in texts] for texts in counted]

    def score(self, candidate: str, clip: int) -> float:
        """0 to 10: `candidate` against all references of that clip."""
        said = self._weigh(_count(candidate))
        return 10.0 * float(np.mean([_similarity(said, true) for true in self._true[clip]]))

    def _weigh(self, counts: Counter[Gram]) -> _Weighed:
        grams: tuple[dict[Gram, float], ...] = tuple({} for _ in range(LONGEST))
        for gram, times in counts.items():
            grams[len(gram) - 1][gram] = times * (self._log_clips - float(np.log(max(1, self._clips_with[gram]))))
        norms = tuple(float(np.sqrt(sum(v * v for v in part.values()))) for part in grams)
        return _Weighed(grams, norms, sum(times for gram, times in counts.items() if len(gram) == 2))


def _count(text: str) -> Counter[Gram]:
    tokens = text.split()
    return Counter(tuple(tokens[i : i + n]) for n in range(1, LONGEST + 1) for i in range(len(tokens) - n + 1))


def _similarity(said: _Weighed, true: _Weighed) -> float:
    """Mean over the n-gram lengths, 0 to 1."""
    penalty = float(np.exp(-((said.length - true.length) ** 2) / (2 * SIGMA**2)))
    total = 0.0
    for mine, yours, norm_mine, norm_yours in zip(said.grams, true.grams, said.norms, true.norms):
        if norm_mine > 0 and norm_yours > 0:
            shared = sum(min(weight, yours[gram]) * yours[gram] for gram, weight in mine.items() if gram in yours)
            total += shared / (norm_mine * norm_yours)
    return penalty * total / LONGEST
