import { createHash } from "node:crypto";
import type { KeyValue } from "@sd/core";
import { describe, expect, it, vi } from "vitest";
import { decodeHeader, decodeKeys, encodeCache, lineOf, mostBytes } from "./cache-lines.js";

const limits = { maxKeys: 200_000, maxBytes: 256 * 1024 * 1024 };
const prefix = "/wäb/";
const kvOf = (key: Uint8Array | string, value: Uint8Array | string = "h:1"): KeyValue => ({
  ...{ key: Buffer.from(key as string), value: Buffer.from(value as string), lease: 7n },
  ...{ createRevision: 2, modRevision: 3, version: 2 },
});

function write(kvs: readonly KeyValue[]): Buffer {
  const header = { prefix, clusterId: 2n ** 64n - 1n, revision: 9, at: 1_767_225_600_000 };
  return Buffer.concat([...encodeCache(header, kvs.map(lineOf))]);
}

async function read(bytes: Uint8Array): Promise<KeyValue[]> {
  const kvs: KeyValue[] = [];
  await decodeKeys(bytes, decodeHeader(bytes, prefix), { limits, take: (slice) => void kvs.push(...slice) });
  return kvs;
}

describe("The lines of a cache file", () => {
  it("keep every byte of keys and values, and every number", async () => {
    const all = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    const kvs = [
      kvOf(Buffer.concat([Buffer.from(prefix), all]), all),
      { ...kvOf(`${prefix}a`, ""), lease: -(2n ** 63n), createRevision: 9, modRevision: 9 },
      kvOf(`${prefix}\u{1f600}"\\`, "\u2028\r\n"),
    ];
    const bytes = write(kvs);
    expect(await read(bytes)).toEqual(kvs);
    expect(decodeHeader(bytes, prefix)).toEqual({
      ...{ prefix, clusterId: 2n ** 64n - 1n, revision: 9, at: 1_767_225_600_000, keys: 3 },
    });
  });

  it("keep nothing, too", async () => {
    expect(await read(write([]))).toEqual([]);
  });

  it.each([
    ["as usual", JSON.stringify({ address: "10.0.0.1:80", metadata: { a: '"', b: "\\" } })],
    ["all zeros", "\0".repeat(2_000)],
  ])("are no more bytes than are read, with values $0", (_case, value) => {
    const kvs = Array.from({ length: 1_000 }, (_, index) => kvOf(`${prefix}${index}`, value));
    const maxBytes = kvs.reduce((sum, { key, value }) => sum + key.length + value.length, 0);
    expect(write(kvs).length).toBeLessThan(mostBytes({ maxKeys: 1_000, maxBytes }));
  });

  it.each([
    ["short", 20_000, "h:1"],
    ["long", 400, "x".repeat(20_000)],
  ])(
    "come in chunks, and are read in slices: the event loop goes round between ($0 ones)",
    async (_case, count, value) => {
      const kvs = Array.from({ length: count }, (_, index) => kvOf(`${prefix}${index}`, value));
      const bytes = write(kvs);
      const chunks = [...encodeCache({ prefix, clusterId: 1n, revision: 9, at: 1 }, kvs.map(lineOf))];
      expect(Math.max(...chunks.map(({ length }) => length))).toBeLessThan(40_000);
      let rounds = 0;
      let isOver = false;
      const goRound = (): void => {
        rounds += 1;
        if (!isOver) setImmediate(goRound);
      };
      setImmediate(goRound);
      expect(await read(bytes)).toHaveLength(count);
      isOver = true;
      expect(rounds).toBeGreaterThanOrEqual(30);
    },
  );

  it("are not parsed if they are nested: the parser's memory has no bound", async () => {
    const sign = (text: string): Buffer => {
      const bytes = Buffer.from(text, "latin1");
      return Buffer.from(`${text}${createHash("sha256").update(bytes).digest("hex")}\n`, "latin1");
    };
    const [first] = write([kvOf(`${prefix}a`)])
      .toString("latin1")
      .split("\n");
    const parse = vi.spyOn(JSON, "parse");
    for (const line of ["[".repeat(5_000), `["${"x".repeat(5_000)}\\"",{"a":[]}]`]) {
      parse.mockClear();
      await expect(read(sign(`${first}\n${line}\n`))).rejects.toThrow("a line is nested");
      expect(() => decodeHeader(sign(`${line}\n`), prefix)).toThrow("a line is nested");
      expect(parse.mock.calls).toEqual([[first]]);
    }
    parse.mockRestore();
    const kvs = [kvOf(`${prefix}a`, `{"metadata":{"a":"${"[{\\".repeat(3_000)}"}}`)];
    expect(await read(write(kvs))).toEqual(kvs);
  });
});
