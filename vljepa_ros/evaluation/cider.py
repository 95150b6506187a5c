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
    if missing := [i for i, texts in enumerate(references) if not texts]:
        raise ValueError(f"references[{missing[0]}] is empty")
    if isinstance(candidates, str) or any(isinstance(texts, str) for texts in references):
        raise TypeError("candidates is a list of texts and references a list of lists of texts, not one text")
    if not candidates:
        return CiderD(float("nan"), ())
    counted = [[_count(text) for text in texts] for texts in references]
    clips_with = Counter(gram for texts in counted for gram in set().union(*texts))
    log_clips = float(np.log(len(references)))

    def weigh(counts: Counter[Gram]) -> _Weighed:
        grams: tuple[dict[Gram, float], ...] = tuple({} for _ in range(LONGEST))
        for gram, times in counts.items():
            grams[len(gram) - 1][gram] = times * (log_clips - float(np.log(max(1, clips_with[gram]))))
        norms = tuple(float(np.sqrt(sum(v * v for v in part.values()))) for part in grams)
        return _Weighed(grams, norms, sum(times for gram, times in counts.items() if len(gram) == 2))

    each = []
    for candidate, texts in zip(candidates, counted):
        said = weigh(_count(candidate))
        each.append(10.0 * float(np.mean([_similarity(said, weigh(text)) for text in texts])))
    return CiderD(float(np.mean(each)), tuple(each))


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
