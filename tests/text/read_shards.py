"""Reads token shards as other programs do, and prints the documents as JSON: one list of lists of ids per shard.
    read_shards.py megatron NAME.bin ...   the pair, by Megatron-Core's description of its IndexedDataset, without it
    read_shards.py numpy NAME.bin ...      the ids alone, as nanoGPT maps them; each document ends with the separator that the manifest names
    read_shards.py llmc NAME.bin ...       llm.c's file, as its data loader checks it"""
import json
import pathlib
import struct
import sys


def megatron(path):
    index, ids = path.with_suffix(".idx").read_bytes(), path.read_bytes()
    assert index[:9] == b"MMIDIDX\x00\x00", index[:9]
    version, code, sequences, documents = struct.unpack_from("<QBQQ", index, 9)
    assert version == 1 and documents == sequences + 1, (version, sequences, documents)
    width, letter = {8: (2, "H"), 4: (4, "i")}[code]
    lengths = struct.unpack_from(f"<{sequences}i", index, 34)
    offsets = struct.unpack_from(f"<{sequences}q", index, 34 + 4 * sequences)
    first = struct.unpack_from(f"<{documents}q", index, 34 + 12 * sequences)
    assert len(index) == 34 + 12 * sequences + 8 * documents, len(index)
    assert sum(lengths) * width == len(ids), (sum(lengths), len(ids))
    return [[id for i in range(begin, end) for id in struct.unpack_from(f"<{lengths[i]}{letter}", ids, offsets[i])]
            for begin, end in zip(first, first[1:])]


def divided(ids, separator):
    documents, begin = [], 0
    for i, id in enumerate(ids):
        if id == separator:
            documents.append(ids[begin:i + 1])
            begin = i + 1
    assert begin == len(ids), "the last document has no separator"
    return documents


def numpy(path):
    import numpy
    vocabulary = json.loads(path.with_suffix(".json").read_text())["vocabulary"]
    ids = numpy.memmap(path, dtype=numpy.uint16 if vocabulary["size"] < 65500 else numpy.int32, mode="r")
    return divided(ids.tolist(), vocabulary["separator"])


def llmc(path):
    content = path.read_bytes()
    header = struct.unpack_from("<256i", content)
    assert header[:2] == (20240520, 1) and not any(header[3:]), header[:4]
    assert len(content) == 1024 + 2 * header[2], (len(content), header[2])
    separator = json.loads(path.with_suffix(".json").read_text())["vocabulary"]["separator"]
    return divided(list(struct.unpack_from(f"<{header[2]}H", content, 1024)), separator)


try:
    print(json.dumps([globals()[sys.argv[1]](pathlib.Path(name)) for name in sys.argv[2:]]))
except ModuleNotFoundError as missing:
    print(missing)
    sys.exit(77)
