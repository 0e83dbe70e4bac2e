#!/usr/bin/env python3
"""Reads the golden log by docs/format.md alone: every check, every hash, the tree up to the checkpoint.

Nothing of spoor is used; XXH3 and zstd come from their libraries.
"""
import base64
import ctypes
import ctypes.util
import hashlib
import os
import pathlib
import struct
import sys

GOLDEN = pathlib.Path(os.environ["SPOOR_SOURCE"]) / "tests/golden/format-1"
U16, U32, U64 = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<Q")


def library(name):
    found = ctypes.util.find_library(name)
    if found is None:
        print(f"1..0 # SKIP lib{name} is not installed")
        sys.exit(0)
    return ctypes.CDLL(found)


XXHASH, ZSTD = library("xxhash"), library("zstd")
XXHASH.XXH3_64bits_withSeed.restype = ctypes.c_uint64
XXHASH.XXH3_64bits_withSeed.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]
ZSTD.ZSTD_createDCtx.restype = ctypes.c_void_p
ZSTD.ZSTD_decompress_usingDict.restype = ctypes.c_size_t
ZSTD.ZSTD_decompress_usingDict.argtypes = [
    ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t,
    ctypes.c_char_p, ctypes.c_size_t]


def xxh3(data, seed=0):
    return XXHASH.XXH3_64bits_withSeed(data, len(data), seed)


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def decompress(stored, size, dictionary):
    to = ctypes.create_string_buffer(size)
    got = ZSTD.ZSTD_decompress_usingDict(ZSTD.ZSTD_createDCtx(), to, size, stored, len(stored),
                                         dictionary, len(dictionary))
    assert got == size
    return to.raw


def u32(data, at):
    return U32.unpack_from(data, at)[0]


def u64(data, at):
    return U64.unpack_from(data, at)[0]


def check_stamp(data, magic):
    assert data[:8] == magic
    assert (u32(data, 8), u32(data, 12)) == (1, 0)
    assert u64(data, 16) == xxh3(data[:16] + bytes(8) + data[24:])


class Bytes:
    """Takes numbers and texts off the front."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        assert self.at + count <= len(self.data)
        self.at += count
        return self.data[self.at - count:self.at]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def signed(self):
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def text(self):
        return self.take(self.varint())


class Tree:
    """RFC 6962 by its right edge: one root for each bit of the size."""

    def __init__(self, packed=U64.pack(0)):
        self.size = u64(packed, 0)
        count = bin(self.size).count("1")
        assert len(packed) == 8 + 32 * count
        self.edge = [packed[8 + 32 * i:40 + 32 * i] for i in range(count)]  # largest first

    def add(self, leaf):
        self.size += 1
        level, size = 0, self.size
        while size % 2 == 0:
            leaf = sha(b"\1", self.edge.pop(), leaf)
            size //= 2
            level += 1
            if level == 8:
                self.tile = leaf
        self.edge.append(leaf)
        return level >= 8

    def root(self):
        if not self.edge:
            return sha()
        root = self.edge[-1]
        for left in reversed(self.edge[:-1]):
            root = sha(b"\1", left, root)
        return root

    def packed(self):
        return U64.pack(self.size) + b"".join(self.edge)


ATTRIBUTES = ("type", "source", "stream", "id", "correlation", "causation", "time",
              "schemaversion", "contenttype", "metadata")


UUIDS = {"id": 1, "correlation": 2, "causation": 4}  # bits of the packing


def read_header(header):
    """The attributes of an event and its extensions, and the header as it would be written."""
    at = Bytes(header)
    presence, packing, zero = struct.unpack("<HBB", at.take(4))
    assert presence < 1 << 10 and packing < 32 and zero == 0 and presence & 31 == 31
    event = {}
    for bit, name in enumerate(ATTRIBUTES):
        if not presence >> bit & 1:
            continue
        uuid = UUIDS.get(name, 0)
        if name == "stream" and packing & 8:
            event[name] = event["source"]
        elif name == "correlation" and packing & 16:
            event[name] = event["id"]
        elif packing & uuid:
            digits = at.take(16).hex()
            event[name] = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20],
                                    digits[20:])).encode()
        else:
            event[name] = at.text()
    count = at.varint()
    event["extensions"] = [(at.take(1)[0], at.text(), at.text()) for _ in range(count)]
    assert at.at == len(header)
    return event


class Log:
    """What the walk has come to."""

    def __init__(self):
        self.position = 0
        self.recorded = 0
        self.chain = 0  # header check of the last block
        self.block = 0
        self.tree = Tree()
        self.hashes = []
        self.versions = {}
        self.roots = {0: sha()}

    def add(self, record, salt_key, tag=True):
        """One record as a row; its hash where it is an event."""
        size, kind, flags = u32(record, 0), record[8], record[9]
        header_size, data_size = u32(record, 12), u32(record, 16)
        assert size == len(record) and size % 8 == 0 and kind in (1, 2) and flags in (0, 1, 3)
        end = 40 + header_size + data_size
        assert end <= size < end + 8 and not any(record[end:])
        self.position += kind == 1
        assert u32(record, 4) == (xxh3(record[8:], self.position) & 0xffffffff if tag else 0)
        recorded = u64(record, 24)
        assert recorded >= self.recorded
        self.recorded = recorded
        if kind == 2:
            return None
        event = read_header(record[40:40 + header_size])
        self.versions[event["stream"]] = self.versions.get(event["stream"], 0) + 1
        assert u64(record, 32) == self.versions[event["stream"]]
        position = U64.pack(self.position)
        salts = sha(sha(salt_key, U64.pack((self.position - 1) // 256)), position)
        leaf = sha(b"\0spr1", U16.pack(flags), bytes(2), position, U64.pack(recorded),
                   sha(salts[:16], record[8:40 + header_size]),
                   sha(salts[16:], record[40 + header_size:end]))
        self.hashes.append(leaf)
        return leaf


def uuid_places(header):
    """Where the UUIDs go that a header lacks: (attribute, offset), in order."""
    at = Bytes(header)
    presence, packing, _ = struct.unpack("<HBB", at.take(4))
    places = []
    for bit, name in enumerate(ATTRIBUTES[:6]):
        if not presence >> bit & 1 or (name == "stream" and packing & 8):
            continue
        if name == "correlation" and packing & 16:
            continue
        if packing & UUIDS.get(name, 0):
            places.append((name, at.at))
        else:
            at.text()
    return places


def subtract(a, b):
    return b"".join(((int.from_bytes(a[i:i + 8], "big") - int.from_bytes(b[i:i + 8], "big"))
                     % 2**64).to_bytes(8, "big") for i in (0, 8))


def read_headers(at, apart, lengths):
    """The headers of a frame, with their UUIDs."""
    headers, places = [], []
    for i, length in enumerate(lengths):
        missing = 0
        if apart[i]:
            missing = 16 * bin(at.data[at.at + 2] & 7).count("1")
            assert missing > 0
        headers.append(at.take(length - missing))
        places.append(uuid_places(headers[-1]) if apart[i] else [])
    counts = {name: sum(name == place[0] for each in places for place in each) for name in UUIDS}

    def planes(count):
        data = at.take(16 * count)
        return iter([data[i::count] for i in range(count)])

    ids, causes = planes(counts["id"]), planes(counts["causation"])
    distinct = [at.take(16) for _ in range(at.varint())]
    fresh = iter(distinct)
    numbers = iter([at.varint() for _ in range(counts["correlation"])])
    before, cause = bytes(16), bytes(16)
    for i, each in enumerate(places):
        header, inserted = headers[i], 0
        has_id = any(name == "id" for name, _ in each)
        for name, offset in each:
            if name == "id":
                before = value = subtract(before, subtract(bytes(16), next(ids)))
            elif name == "causation":
                cause = value = subtract(before if has_id else cause, next(causes))
            else:
                number = next(numbers)
                value = next(fresh) if number == 0 else distinct[number - 1]
            header = header[:offset + inserted] + value + header[offset + inserted:]
            inserted += 16
        headers[i] = header
    return headers


def rows(columns):
    """The records of a frame, tags zero."""
    at = Bytes(columns)
    count = at.varint()
    kinds = []
    for _ in range(count):
        kind = at.take(1)[0]
        kinds.append((kind, at.varint() if kind == 2 else 0))
    flags = at.take(count)
    times, time = [], 0
    for _ in range(count):
        time += at.signed()
        times.append(time)
    numbers, before, number = [], 0, 0
    for time in times:
        number = at.signed() + (number + 1 if time // 1000 == before // 1000 else 0)
        before = time
        numbers.append(number)
    versions, lengths, sizes = ([at.varint() for _ in range(count)] for _ in range(3))
    headers = read_headers(at, [flag >> 7 for flag in flags], lengths)
    flags = bytes(flag & 127 for flag in flags)
    data = [at.take(size) for size in sizes]
    assert at.at == len(columns)
    for i in range(count):
        used = 40 + len(headers[i]) + len(data[i])
        size = (used + 7) // 8 * 8
        yield struct.pack("<IIBBHIIIQQ", size, 0, kinds[i][0], flags[i], kinds[i][1],
                          len(headers[i]), len(data[i]), numbers[i], times[i],
                          versions[i]) + headers[i] + data[i] + bytes(size - used)


def read_sealed(log, row):
    data = (GOLDEN / f"seg/{u64(row, 0):016x}.spoor").read_bytes()
    foot = data[-512:]
    check_stamp(data[:64], b"spoorSLD")
    check_stamp(foot, b"spoorEND")
    assert data[24:56] == foot[24:56] and not any(data[56:64])
    ident, first, last, first_block, last_block, prev, chain = struct.unpack_from("<7Q", foot, 40)
    assert struct.unpack_from("<6Q", row) == (ident, first, last, first_block, last_block, chain)
    assert (u64(row, 48), u64(row, 56)) == (len(data), u64(foot, 16)) and not any(row[64:])
    assert (first, first_block, prev) == (log.position + 1, log.block + 1, log.chain)
    sections, at = [], 64
    for i in range(13):
        offset, size, check = struct.unpack_from("<3Q", foot, 192 + 24 * i)
        if i < 7:
            assert offset == at
            at += size
            sections.append(data[offset:at])
            assert check == (0 if i == 0 else xxh3(sections[i]))
        else:
            assert (offset, size, check) == (0, 0, 0)
    assert at + 512 == len(data)
    _, directory, dictionary, tags, tiles, tree, _ = sections
    edge = 8 + 32 * bin(u64(tree, 0)).count("1")
    assert log.tree.packed() == tree[:edge]
    assert (u32(foot, 160), u32(foot, 164), u64(foot, 168)) == (0, 1, 0) and dictionary
    records, found, next_offset = 0, b"", 64
    for i in range(u32(foot, 120)):
        check, offset, stored_size, columns, size, ordinal, events, flags = struct.unpack_from(
            "<QIIIIIHH", directory, 32 * i)
        stored = data[offset:offset + stored_size]
        assert (offset, ordinal, check) == (next_offset, log.position + 1 - first, xxh3(stored))
        next_offset += stored_size
        before = log.position
        raw = list(rows(stored if flags else decompress(stored, columns, dictionary)))
        assert sum(map(len, raw)) == size
        for record in raw:
            leaf = log.add(record, foot[128:160], tag=False)
            records += 1
            if leaf is not None:
                assert leaf[:2] == tags[2 * (log.position - first):][:2]
                if log.tree.add(leaf):
                    found += log.tree.tile
                log.roots[log.tree.size] = log.tree.root()
        assert log.position - before == events
    assert 32 * u32(foot, 120) == len(directory) and records == u64(foot, 112)
    assert found == tiles and len(tiles) == 32 * u32(foot, 124)
    assert log.position == last and len(tags) == 2 * (last - first + 1)
    assert log.tree.packed() == tree[edge:]
    log.chain, log.block = chain, last_block


def read_raw(log, path, uuid):
    data = path.read_bytes()
    check_stamp(data[:4096], b"spoorSEG")
    assert data[24:40] == uuid and not any(data[128:4096])
    epoch, size, first_block, first, prev = struct.unpack_from("<5Q", data, 40)
    assert (first_block, first, prev) == (log.block + 1, log.position + 1, log.chain)
    data += bytes(size - len(data))  # kept without its zeros
    at = 4096
    while data[at:at + 4] == b"spB1":
        head = data[at:at + 160]
        assert struct.unpack_from("<HH", head, 4) == (1, 160)
        check = u64(head, 8)
        assert check == xxh3(head[:8] + bytes(8) + head[16:])
        assert head[16:24] == uuid[:8] and struct.unpack_from("<5Q", head, 24) == (
            epoch, at, log.block + 1, log.position + 1, u64(head, 56))
        events, records, body = struct.unpack_from("<3I", head, 56)
        end = (at + 160 + body + 4095) // 4096 * 4096
        assert u64(head, 72) == xxh3(data[at + 160:end])
        sectors = [data[i:min(i + 512, at + 160 + body)] for i in range(at, at + 160 + body, 512)]
        assert u32(head, 68) == sum(not any(sector) for sector in sectors)
        assert u64(head, 80) <= log.block and u64(head, 88) == log.chain
        assert log.roots[u64(head, 96)] == head[104:136] and not any(head[144:160])
        before, begin = log.position, at + 160
        while begin < at + 160 + body:
            leaf = log.add(data[begin:begin + u32(data, begin)], data[96:128])
            begin += u32(data, begin)
            records -= 1
            if leaf is not None:
                log.tree.add(leaf)
                log.roots[log.tree.size] = log.tree.root()
        assert records == 0 and log.position - before == events and u64(head, 136) == log.recorded
        assert not any(data[begin:end])
        log.chain, log.block, at = check, log.block + 1, end
    assert not any(data[at:])


def main():
    manifest = (GOLDEN / "MANIFEST").read_bytes()
    check_stamp(manifest, b"spoorMAN")
    uuid, count = manifest[24:40], u32(manifest, 72)
    assert struct.unpack_from("<3Q", manifest, 48) == (1, 1, 0) and not any(manifest[76:128])
    assert len(manifest) == 128 + 80 * count and count == 2
    log = Log()
    for i in range(count):
        read_sealed(log, manifest[128 + 80 * i:208 + 80 * i])
    for path in sorted((GOLDEN / "wal").iterdir()):
        read_raw(log, path, uuid)
    lines = (GOLDEN / "events.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split()[1] for line in lines[:-1]] == [leaf.hex() for leaf in log.hashes]
    root = base64.b64encode(log.tree.root()).decode()
    checkpoint = (GOLDEN / "checkpoint").read_text(encoding="utf-8")
    assert checkpoint == f"spoor/{uuid.hex()}\n{log.position}\n{root}\n"
    for path in (GOLDEN / "snap").iterdir():
        snapshot = path.read_bytes()
        check_stamp(snapshot, b"spoorSNP")
        assert snapshot[24:40] == uuid and int(path.stem, 16) == u64(snapshot, 40)
        assert u64(snapshot, 48) == len(snapshot) - 64 and not any(snapshot[56:64])
    example = (pathlib.Path(os.environ["SPOOR_SOURCE"]) / "docs/format.md").read_text("utf-8")
    assert log.hashes[414].hex() in example and log.roots[415].hex() in example
    print("1..1")
    print(f"ok 1 - {log.position} events by the document alone")


main()
