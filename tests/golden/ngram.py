"""Golden values for tests/text/ngram_test.cpp: interpolated modified Kneser-Ney and the interpolated bigram, straight from Chen and
Goodman 1999 (equations 9, 17 and section 3) with dictionaries of whole n-grams, in Python's floats and integers.

The tokens follow a closed formula, so that the C++ test makes the same ones by itself.
"""

import collections
import json
import math

VOCABULARY = 80


def tokens(count, state):
    """The least of four numbers below 79 of a linear congruential generator, or, every third time, the token before plus one:
    skewed and dependent, with entry 79 never used."""
    out, last = [], 0
    for _ in range(count):
        draws = []
        for _ in range(4):
            state = (state * 1103515245 + 12345) % 2**31
            draws.append((state >> 16) % 79)
        last = (last + 1) % 79 if draws[0] % 3 == 0 else min(draws)
        out.append(last)
    return out


RUNS = [tokens(600, 1), tokens(200, 2), tokens(1, 3), tokens(300, 4)]
JUDGED = tokens(60, 5)


def kneser_ney(order):
    """Returns p(context, token) and the discounts of each order."""
    occurrences = [collections.Counter() for _ in range(order + 1)]
    for run in RUNS:
        for n in range(1, order + 1):
            occurrences[n].update(tuple(run[i:i + n]) for i in range(len(run) - n + 1))
    counts = [None] * (order + 1)
    counts[order] = occurrences[order]
    for n in range(1, order):
        before = collections.defaultdict(set)
        for gram in occurrences[n + 1]:
            before[gram[1:]].add(gram[0])
        counts[n] = {gram: len(tokens) for gram, tokens in before.items()}
    discounts = []
    for n in range(1, order + 1):
        with_count = [sum(c == k for c in counts[n].values()) for k in range(5)]
        y = with_count[1] / (with_count[1] + 2 * with_count[2])
        discounts.append([0] + [k - (k + 1) * y * with_count[k + 1] / with_count[k] for k in (1, 2, 3)])

    def p(context, token):
        n = len(context) + 1
        lower = p(context[1:], token) if n > 1 else 1 / VOCABULARY
        of_context = {gram[-1]: c for gram, c in counts[n].items() if gram[:-1] == context}
        total = sum(of_context.values())
        if total == 0:
            return lower
        discount = discounts[n - 1]
        taken = sum(discount[min(c, 3)] for c in of_context.values())
        c = of_context.get(token, 0)
        return (c - discount[min(c, 3)]) / total + taken / total * lower

    return p, discounts


def bigram():
    unigrams, bigrams, followed = collections.Counter(), collections.Counter(), collections.Counter()
    for run in RUNS:
        unigrams.update(run)
        bigrams.update(zip(run, run[1:]))
        followed.update(run[:-1])
    total = sum(unigrams.values())

    def left_out(weight):
        loss = 0
        for (before, token), c in bigrams.items():
            bigram = (c - 1) / (followed[before] - 1) if followed[before] > 1 else 0
            loss += c * math.log(weight * bigram + (1 - weight) * unigrams[token] / (total - 1 + VOCABULARY))
        return loss

    low, high = 0.0, 1 - 1e-12  # the likelihood is concave
    for _ in range(200):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        low, high = (a, high) if left_out(a) < left_out(b) else (low, b)
    weight = low

    def p(before, token):
        unigram = (unigrams[token] + 1) / (total + VOCABULARY)
        if before is None or followed[before] == 0:
            return unigram
        return weight * bigrams[before, token] / followed[before] + (1 - weight) * unigram

    return p, weight


result = {"kneser_ney": {}}
for order in range(2, 6):
    p, discounts = kneser_ney(order)
    logs = [math.log(p(tuple(JUDGED[max(0, i - order + 1):i]), JUDGED[i])) for i in range(len(JUDGED))]
    logs.append(math.log(p((), 79)))  # an entry that never occurs
    result["kneser_ney"][str(order)] = {"discounts": discounts, "logs": logs}
p, weight = bigram()
result["bigram"] = {"weight": weight, "logs": [math.log(p(JUDGED[i - 1] if i else None, JUDGED[i])) for i in range(len(JUDGED))]}
print(json.dumps(result, indent=1))
