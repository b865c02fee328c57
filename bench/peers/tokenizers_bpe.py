"""The peers of compare-bpe, for a Python with tiktoken and tokenizers. One thread; prints one JSON object, as alma-bpe-bench does.

    tokenizers_bpe.py tiktoken VOCABULARY TEXT IDS    documents are separated by lines of <|endoftext|>
    tokenizers_bpe.py train SIZE TEXT MERGES          each line is a document
"""
import array
import json
import pathlib
import sys
import time

END = "<|endoftext|>"
# As tiktoken has it for GPT-2: the same words as by the published pattern, found faster.
PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""


def text_of(path):
    return pathlib.Path(path).read_bytes().decode()


def encode(folder, path, out):
    import tiktoken
    itself = [*range(0x21, 0x7f), *range(0xa1, 0xad), *range(0xae, 0x100)]
    others = [b for b in range(256) if b not in itself]
    byte_of = {chr(b): b for b in itself} | {chr(256 + i): b for i, b in enumerate(others)}
    ids = json.loads((pathlib.Path(folder) / "encoder.json").read_text())
    ranks = {bytes(byte_of[c] for c in token): i for token, i in ids.items() if token != END}
    encoding = tiktoken.Encoding("gpt2", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={END: ids[END]})
    documents = text_of(path).split(f"\n{END}\n")
    found = array.array("i")
    yield
    for document in documents:
        found.extend(encoding.encode_ordinary(document))
    yield len(found)
    pathlib.Path(out).write_bytes(found.tobytes())


def train(size, path, out):
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=int(size), min_frequency=0, show_progress=False, special_tokens=[END],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    lines = text_of(path).split("\n")
    lines = [line + "\n" for line in lines[:-1]] + [line for line in lines[-1:] if line]
    yield
    tokenizer.train_from_iterator(lines, trainer)
    yield tokenizer.get_vocab_size()
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    pathlib.Path(out).write_text("#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in merges))


# Each is a generator: what comes before its first yield is not timed, nor what comes after its second.
steps = {"tiktoken": encode, "train": train}[sys.argv[1]](*sys.argv[2:])
next(steps)
wall, cpu = time.perf_counter(), time.process_time()
count = next(steps)
figures = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "count": count}
for _ in steps:
    pass
print(json.dumps(figures))
