import type { KeyValue, WatchEvent } from "@sd/core";
import { beforeEach, describe, expect, it } from "vitest";
import { InstanceStore } from "./instance-store.js";
import { LineStore } from "./line-store.js";
import { readEntry } from "./read-entry.js";

let store: LineStore;
let changes: number;
beforeEach(() => {
  changes = 0;
  store = new LineStore(new InstanceStore(readEntry, () => {}), () => {
    changes += 1;
  });
  store.replace([kv("/a", 2), kv("/b", 3)], { revision: 3, epoch: 1 });
});

const kv = (key: string, modRevision: number): KeyValue => ({
  ...{ key: Buffer.from(key), value: Buffer.from("x"), lease: 0n },
  ...{ createRevision: 2, modRevision, version: 1 },
});
const event = (type: "put" | "delete", key: string, revision: number): WatchEvent => ({
  type,
  kv: kv(key, revision),
});
const keys = (): unknown => store.lines?.map((line) => JSON.parse(line)[0]);

describe("LineStore", () => {
  it("keeps what the store holds, through lists, events and bookmarks", () => {
    expect([keys(), store.revision, store.size, changes]).toEqual([["/a", "/b"], 3, 2, 1]);
    expect(store.apply([event("delete", "/a", 4), event("put", "/c", 5)], { revision: 5, epoch: 1 })).toBe(
      true,
    );
    expect([keys(), store.revision, changes]).toEqual([["/b", "/c"], 5, 2]);
    store.bookmark({ revision: 9, epoch: 1 });
    expect([keys(), store.revision, changes]).toEqual([["/b", "/c"], 9, 2]);
    expect([store.isHeld(kv("/c", 5)), store.isHeld({ ...kv("/c", 5), lease: 1n })]).toEqual([true, false]);
    expect([store.revisionOf(Buffer.from("/c")), store.revisionOf(Buffer.from("/a"))]).toEqual([
      5,
      undefined,
    ]);
  });

  it("shows nothing of a list before it is complete", () => {
    const draft = store.draft({ revision: 7, epoch: 1 });
    draft.take([kv("/d", 7)]);
    expect([keys(), changes]).toEqual([["/a", "/b"], 1]);
    draft.replace();
    expect([keys(), changes]).toEqual([["/d"], 2]);
  });

  it("has nothing to write after a contradiction, until a list has come (D12)", () => {
    expect(store.apply([event("delete", "/z", 4)], { revision: 4, epoch: 1 })).toBe(false);
    expect(store.lines).toBeUndefined();
    store.replace([kv("/a", 2)], { revision: 4, epoch: 1 });
    expect(keys()).toEqual(["/a"]);
  });
});
