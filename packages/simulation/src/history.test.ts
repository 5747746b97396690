import type { KeyValue } from "@sd/core";
import { describe, expect, it } from "vitest";
import { Life } from "./history.js";

const kv = (key: string, modRevision: number): KeyValue => ({
  key: Buffer.from(key),
  value: Buffer.from(`${modRevision}`),
  createRevision: 1,
  modRevision,
  version: 1,
  lease: 0n,
});

function life(): Life {
  const made = new Life(0);
  for (const [type, key, revision] of [
    ["put", "/a", 2],
    ["put", "/b", 3],
    ["put", "/a", 4],
    ["delete", "/b", 5],
    ["put", "/c", 6],
    ["delete", "/c", 9],
  ] as const)
    made.add({ type, kv: kv(key, revision) }, revision);
  return made;
}

describe("Life", () => {
  it("knows the state from a revision on when it has forgotten what was before", () => {
    const [whole, short] = [life(), life()];
    short.forget(5);
    for (const revision of [5, 6, 7, 9, 10])
      expect(short.state("/", revision)).toEqual(whole.state("/", revision));
    expect(short.between("/", 5, 9)).toEqual(whole.between("/", 5, 9));
  });

  it("keeps nothing of what is gone", () => {
    const short = life();
    short.forget(9);
    expect(short.events).toEqual([]);
    expect(short.of("/b")).toEqual([]);
    expect(short.of("/c")).toEqual([]);
    expect(short.of("/a")).toHaveLength(1);
  });

  it("still knows what a key held before its next change", () => {
    const short = life();
    short.forget(9);
    expect(short.add({ type: "put", kv: kv("/a", 10) }, 10).previous?.modRevision).toBe(4);
  });

  it("goes on from a snapshot with the same past, and without what was lost", () => {
    const whole = life();
    const restored = whole.branch(4, 100);
    expect([restored.fork, restored.revision, restored.startedAt]).toEqual([4, 4, 100]);
    expect(restored.state("/", 4)).toEqual(whole.state("/", 4));
    expect(restored.of("/c")).toEqual([]);
    restored.add({ type: "put", kv: kv("/c", 5) }, 101);
    expect([restored.at("/c", 5)?.modRevision, whole.at("/c", 5)]).toEqual([5, undefined]);
    expect(restored.between("/", 3, 9).map(({ key }) => key)).toEqual(["/a", "/c"]);
    expect(whole.branch(0, 100)).toMatchObject({ fork: 0, revision: 1, events: [] });
  });
});
