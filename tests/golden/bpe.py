"""Golden values for tests/text, made by tiktoken (ids of GPT-2's vocabulary) and Hugging Face's tokenizers (trained vocabularies).

    python3 bpe.py GPT2_BPE TEXT > bpe.json     GPT2_BPE has encoder.json and vocab.bpe, TEXT has novels-*.txt.xz and others

Long results are kept as SHA-256: of ids as little-endian int32, of the lines of vocab.bpe, and of the class of each code point, for
which Python's unicodedata is the source.
"""
import array
import hashlib
import json
import lzma
import os
import pathlib
import sys
import unicodedata

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import tiktoken
import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

END = "<|endoftext|>"
# GPT-2's pattern. "(?i:...)" and the like are left out on purpose: contractions are lower-case.
PATTERN = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
FILES = ["novels-test", "novels-train", "novels-valid", "tinyshakespeare", "wikitext2-test", "wikitext2-valid"]

CASES = [
    "", " ", "  ", "   ", "a", " a", "  a", "   a", "a ", "a  ", "a   ", "\n", "\n\n", "a\n", "a\n\n", "\n\na", "a \n", "a \n b", "a\n b",
    "\r\n", "a\r\nb", "a\r\n\r\nb", "\ta", "a\t\tb", "\x0b\x0c", "\x1c\x1d\x1e\x1fa", "\x85x", "a\x85\x85b", "\xa0a", "\xa0\xa0a",
    " \xa0a", "\u1680a", "\u180ea", "\u200ba", "\u2000\u2003 a", "\u2028a\u2029", "\u202fa", "\u205fa", "\u3000\u3000日本",
    "  é", "   éa", " \u00e9", "\t\u00e9", "don't", "don’t", "DON'T", "it's", "'s", "'S", "'", "a'", "''", "'sure", "'tis 'twas",
    "we'll we'LL we're we've I'm he'd", "!'s", " 's", "'ll", "'l", "'r", "'v", "'re'", "x'y", "'é", "1's 2'nd", "\x00", "a\x00b", "\x00\x00",
    "\ufeffBOM", "a\ufeffb", "12345", " 12345", "1a2b", "½ ¾ Ⅷ ٣٤", "x²", "3.14", "$5,000.00!", "...", " ...", "!?!?", "-----", "=" * 70,
    "日本語", " 日本語", "中" * 40, "Привет, мир!", "مرحبا بالعالم", "हिन्दी में", "e\u0301", "é\u0301e", "👍", " 👍🏽", "👨‍👩‍👧‍👦", "🇩🇪", "\U000e0041",
    "\U0010ffff", "\ue000", END, "a" + END + "b", "\n" + END + "\n", "<|endoftext", "<|im_start|>", "a" * 63, "a" * 64, "a" * 65, "a" * 300,
    "b" * 1000, "ab" * 100, "abcdefghijklmno", "abcdefghijklmnop", " abcdefghijklmn", " abcdefghijklmno", " abcdefghijklmnop",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis", " " * 20 + "x", " " * 100, "\n" * 50, "\t" * 17,
    "def f(x):\n    return x  # comment\n", "http://example.com/a?b=c&d=%20", "snake_case camelCase", "ﬁ ﬂ", "ǅ ʰ ª º", "Ünïcödé", "naïve café",
]
# What Python makes of invalid bytes.
INVALID = ["80", "61ff62", "c3", "c328", "e282", "e28261", "f09f98", "f09f9861", "eda080", "f4908080", "c080", "e08080", "f0808080", "fffe610062",
           "e282ace282", "6180808062", "f09f98f09f9880", "c3c3a9"]

SMALL = """Call me Ishmael. Some years ago - never mind how long precisely - having little or no money in my purse, and nothing particular
to interest me on shore, I thought I would sail about a little and see the watery part of the world. It is a way I have of driving
off the spleen, and regulating the circulation. Whenever I find myself growing grim about the mouth; whenever it is a damp, drizzly
November in my soul; whenever I find myself involuntarily pausing before coffin warehouses, and bringing up the rear of every funeral
I meet; and especially whenever my hypos get such an upper hand of me, that it requires a strong moral principle to prevent me from
deliberately stepping into the street, and methodically knocking people's hats off - then, I account it high time to get to sea as
soon as I can. This is my substitute for pistol and ball.

    Café, naïve, 日本語 日本 .......... -------- ======\t\t1851 1852 18 1!
"""
# Pairs that overlap themselves, and tokens that two pairs make.
TRAINING = [("", 300), ("a", 300), ("aaa", 300), ("aaaa aaaaa aaaaaa", 270), ("-" * 7 + "\n" + "-" * 12 + "\n" + "-" * 20 + "\n", 400),
            ("abababab baba abab", 300), ("aabaab aab baa aaab abaaa", 300), ("mississippi miss sip is\n" * 3, 280),
            ("aaabaaab abaabaab aaaaab\nbaaaab aabaa aaaaaaa\n", 300), (SMALL, 400), (SMALL, 700)]


def gpt2(folder):
    itself = [*range(0x21, 0x7f), *range(0xa1, 0xad), *range(0xae, 0x100)]
    others = [b for b in range(256) if b not in itself]
    byte_of = {chr(b): b for b in itself} | {chr(256 + i): b for i, b in enumerate(others)}
    ids = json.loads((folder / "encoder.json").read_text())
    ranks = {bytes(byte_of[c] for c in token): i for token, i in ids.items() if token != END}
    return tiktoken.Encoding("gpt2", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={END: ids[END]})


def lines_of(text):
    """As Hugging Face's trainer reads files: each line with its end."""
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return [line for line in lines if line]


def train(text, size):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(lines_of(text), trainers.BpeTrainer(
        vocab_size=size, min_frequency=0, show_progress=False, special_tokens=[END], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tokenizer


def merges_of(tokenizer):
    return [f"{left} {right}" for left, right in json.loads(tokenizer.to_str())["model"]["merges"]]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def of_merges(merges):
    return {"count": len(merges), "sha256": sha256("".join(line + "\n" for line in merges).encode())}


def tokens_of(tokenizer, text):
    """Not as ids, since the special token comes first there. As text there is no special token."""
    tokenizer.encode_special_tokens = True
    return tokenizer.encode(text).tokens


def of_file(encoding, text):
    ids = array.array("i")
    for document in text.split(f"\n{END}\n"):
        ids.extend(encoding.encode_ordinary(document))
    return {"tokens": len(ids), "sha256": sha256(ids.tobytes())}


def classes():
    space = {*range(0x9, 0xe), 0x20, 0x85, 0xa0, 0x1680, *range(0x2000, 0x200b), 0x2028, 0x2029, 0x202f, 0x205f, 0x3000}
    kind = {"L": 1, "N": 2}
    return sha256(bytes(3 if c in space else kind.get(unicodedata.category(chr(c))[0], 0) for c in range(0x110000)))


def main():
    folder, texts = map(pathlib.Path, sys.argv[1:])
    encoding, small = gpt2(folder), train(SMALL, 700)
    text = {name: lzma.open(texts / f"{name}.txt.xz").read().decode() for name in FILES}
    print(json.dumps({
        "tiktoken": tiktoken.__version__, "tokenizers": tokenizers.__version__,
        "cases": [{"text": case, "gpt2": encoding.encode_ordinary(case), "small": tokens_of(small, case)} for case in CASES],
        "invalid": [{"hex": case, "replaced": bytes.fromhex(case).decode(errors="replace")} for case in INVALID],
        "training": [{"text": case, "size": size, "merges": merges_of(train(case, size))} for case, size in TRAINING],
        "files": {name: of_file(encoding, text[name]) for name in FILES},
        "merges": {"novels-valid": {"size": 4096, **of_merges(merges_of(train(text["novels-valid"], 4096)))},
                   "novels-train": {"size": 8192, **of_merges(merges_of(train(text["novels-train"], 8192)))}},
        "classes": {"unicode": unicodedata.unidata_version, "sha256": classes()},
    }, separators=(",", ":")).replace('},{"', '},\n{"'))


main()
