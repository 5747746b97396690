import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { KeyValue, Position, WatchEvent } from "@sd/core";
import { shortChange } from "@sd/testing";
import { beforeEach, describe, expect, it } from "vitest";

import type { Change } from "./change.js";
import { InstanceStore } from "./instance-store.js";

interface Item {
  readonly key: string;
  readonly value: string;
  readonly modRevision: number;
  readonly leaseId: bigint;
}

let calls: { readonly changes: readonly Change<Item>[]; readonly position: Position }[];
let store: InstanceStore<Item>;
beforeEach(() => {
  calls = [];
  store = new InstanceStore<Item>(
    ({ key, value, modRevision, lease }) => {
      const text = Buffer.from(value).toString();
      if (text === "bad") throw new Error("bad value");
      return { key: Buffer.from(key).toString(), value: text, modRevision, leaseId: lease };
    },
    (changes, position) => calls.push({ changes, position }),
  );
});

const kv = (key: string | Uint8Array, value: string, modRevision: number): KeyValue => ({
  key: Buffer.from(key as string),
  value: Buffer.from(value),
  createRevision: 1,
  modRevision,
  version: 1,
  lease: 0n,
});
const put = (key: string, value: string, revision: number): WatchEvent => ({
  type: "put",
  kv: kv(key, value, revision),
});
const del = (key: string, revision: number): WatchEvent => ({ type: "delete", kv: kv(key, "", revision) });
const at = (revision: number, epoch = 1): Position => ({ revision, epoch });
const last = (): string[] => (calls.at(-1)?.changes ?? []).map(shortChange);

describe("InstanceStore", () => {
  it("tells the changes of one message at once, after they are all done (D4)", () => {
    store.apply([put("/a", "1", 2), put("/b", "1", 2), del("/a", 3)], at(3));
    expect(calls).toHaveLength(1);
    expect(last()).toEqual(["+/a", "+/b", "-/a"]);
    expect(store.entries().map(({ key }) => key)).toEqual(["/b"]);
  });

  it("makes no changes of the first list where nobody hears them, and of all others", () => {
    const unheard = new InstanceStore<Item>(
      ({ key, modRevision }) => ({ key: Buffer.from(key).toString(), value: "", modRevision, leaseId: 0n }),
      (changes, position) => calls.push({ changes, position }),
      { isHeard: () => false },
    );
    unheard.replace([kv("/a", "1", 2)], at(4));
    expect(calls).toEqual([{ changes: [], position: at(4) }]);
    expect(unheard.entries().map(({ key }) => key)).toEqual(["/a"]);
    unheard.replace([], at(6));
    expect(last()).toEqual(["-/a"]);
    unheard.replace([kv("/b", "1", 7)], at(7));
    expect(last(), "empty, but not the first").toEqual(["+/b"]);
  });

  it("tells the difference to a new list, with the last known value of what is gone (D7)", () => {
    store.replace([kv("/a", "1", 2), kv("/b", "1", 3), kv("/c", "1", 4)], at(4));
    store.replace([kv("/b", "2", 8), kv("/c", "1", 4), kv("/d", "1", 9)], at(9));
    expect(last()).toEqual(["~/b", "+/d", "-/a"]);
    expect(calls.at(-1)?.changes.at(-1)).toEqual({
      type: "removed",
      instance: { key: "/a", value: "1", modRevision: 2, leaseId: 0n },
      revision: 9,
    });
  });

  it("shows nothing of a list that comes in parts before all of it is here (D1)", () => {
    store.replace([kv("/a", "1", 2), kv("/b", "bad", 3), kv("/c", "1", 4)], at(4));
    const broken = store.draft(at(8));
    broken.take([kv("/a", "2", 8), kv("/x", "bad", 8)]);
    const draft = store.draft(at(9));
    draft.take([kv("/a", "1", 2), kv("/b", "2", 9)]);
    draft.take([kv("/c", "bad", 8)]);
    expect(store.entries().map(({ value }) => value)).toEqual(["1", "1"]);
    expect([...store.rejected.keys()]).toEqual(["/b"]);
    expect(calls).toHaveLength(1);
    draft.replace();
    expect(last()).toEqual(["+/b", "-/c"]);
    expect(calls.at(-1)?.changes.at(-1), "gone since the write that cannot be read").toMatchObject({
      revision: 8,
    });
    expect(calls.at(-1)?.position).toEqual(at(9));
    expect([...store.rejected.keys()]).toEqual(["/c"]);
  });

  it("keeps what has not changed since the last list as it is, without reading it again", () => {
    store.replace([kv("/a", "1", 2), kv("/b", "1", 3)], at(4));
    const [before] = store.entries();
    store.replace([kv("/a", "1", 2), kv("/b", "2", 5)], at(5));
    expect(store.entries()[0]).toBe(before);
    expect(last()).toEqual(["~/b"]);
  });

  it("reads everything anew in another epoch, where revisions may be equal by chance", () => {
    store.replace([kv("/a", "1", 2)], at(5));
    store.replace([kv("/a", "2", 2)], at(2, 2));
    expect(store.entries()).toEqual([{ key: "/a", value: "2", modRevision: 2, leaseId: 0n }]);
    expect(last()).toEqual(["~/a"]);
  });

  it("tells what it holds, be it readable or not, from another write of the same revision by its lease", () => {
    store.replace([kv("/a", "1", 2), kv("/b", "bad", 3)], at(5));
    expect([kv("/a", "1", 2), kv("/b", "bad", 3)].map((each) => store.isHeld(each))).toEqual([true, true]);
    const others = [
      { ...kv("/a", "1", 2), lease: 8n },
      { ...kv("/b", "bad", 3), lease: 8n },
      kv("/a", "1", 3),
    ];
    expect([...others, kv("/c", "1", 2)].map((each) => store.isHeld(each))).toEqual([
      false,
      false,
      false,
      false,
    ]);
  });

  it("neither reads nor reports again what it has left out before, unless it changed (D13)", () => {
    const heard: unknown[] = [];
    const hear = (message: unknown): void => void heard.push((message as Item).key);
    subscribe("sd:instance:rejected", hear);
    store.replace([kv("/a", "bad", 2), kv("/b", "bad", 2)], at(2));
    store.replace([kv("/a", "bad", 2), kv("/b", "bad", 3)], at(3));
    unsubscribe("sd:instance:rejected", hear);
    expect(heard).toEqual(["/a", "/b", "/b"]);
    expect([store.size, store.revisionOf(Buffer.from("/a"))]).toEqual([2, 2]);
  });

  it("retains what is missing in a new epoch, through the drafts of later lists, until it is let go", () => {
    const retaining = new InstanceStore<Item>(
      ({ key, modRevision }) => ({ key: Buffer.from(key).toString(), value: "", modRevision, leaseId: 0n }),
      (changes, position) => calls.push({ changes, position }),
      { retains: true },
    );
    const keys = (): string[] => retaining.entries().map(({ key }) => key);
    retaining.replace([kv("/a", "1", 2), kv("/b", "1", 3), kv("/c", "1", 4)], at(9));
    retaining.replace([kv("/b", "2", 3)], at(3, 2));
    expect([last(), keys(), retaining.size]).toEqual([["~/b"], ["/b", "/a", "/c"], 1]);
    expect(retaining.revisionOf(Buffer.from("/a"))).toBe(undefined);
    // Of another epoch, and so not the same, though its revision is.
    retaining.replace([kv("/a", "3", 2), kv("/b", "2", 3)], at(5, 2));
    expect([last(), [...retaining.retained]]).toEqual([["~/a"], ["/c"]]);
    const draft = retaining.draft(at(6, 2));
    draft.take([kv("/a", "3", 2), kv("/b", "2", 3)]);
    retaining.release(at(5, 2));
    expect(last()).toEqual(["-/c"]);
    draft.replace();
    expect([last(), keys(), retaining.retained.size]).toEqual([[], ["/a", "/b"], 0]);
  });

  it("leaves out what cannot be read, and nothing else (D13)", () => {
    store.replace([kv("/a", "bad", 2), kv("/b", "1", 2)], at(2));
    expect(last()).toEqual(["+/b"]);
    expect([...store.rejected.keys()]).toEqual(["/a"]);
    store.apply([put("/a", "1", 3)], at(3));
    expect(last()).toEqual(["+/a"]);
    expect(store.rejected.size).toBe(0);
    store.apply([put("/a", "bad", 4)], at(4));
    expect(last()).toEqual(["-/a"]);
    store.apply([del("/a", 5)], at(5));
    expect(last()).toEqual([]);
    expect(store.rejected.size).toBe(0);
    store.apply([put("/a", "bad", 6)], at(6));
    store.replace([kv("/b", "1", 2)], at(7));
    expect(store.rejected.size).toBe(0);
  });

  it("reports what it leaves out on sd:instance:rejected, with the key escaped", () => {
    const heard: unknown[] = [];
    const hear = (message: unknown): void => void heard.push(message);
    subscribe("sd:instance:rejected", hear);
    store.apply([put("/a\n", "bad", 2)], at(2));
    unsubscribe("sd:instance:rejected", hear);
    expect(heard).toEqual([{ key: "/a\\u000a", error: new Error("bad value") }]);
  });

  it("reports what it leaves out only after the changes of the same message were told (D4)", () => {
    const order: string[] = [];
    const hear = (message: unknown): void => void order.push(`rejected ${(message as Item).key}`);
    const telling = new InstanceStore<Item>(
      ({ key, value, modRevision }) => {
        if (value.length === 0) throw new Error("empty");
        return { key: Buffer.from(key).toString(), value: "", modRevision, leaseId: 0n };
      },
      (changes) => order.push(changes.map(shortChange).join()),
    );
    subscribe("sd:instance:rejected", hear);
    telling.replace([kv("/a", "1", 2), kv("/b", "", 2), kv("/c", "1", 2)], at(2));
    telling.apply([put("/a", "2", 3), put("/c", "", 3), put("/d", "1", 3)], at(3));
    unsubscribe("sd:instance:rejected", hear);
    expect(order).toEqual(["+/a,+/c", "rejected /b", "~/a,-/c,+/d", "rejected /c"]);
  });

  it("gives a copy of what is left out, which neither changes nor changes it", () => {
    store.apply([put("/a", "bad", 2)], at(2));
    const before = store.rejected;
    (before as Map<string, unknown>).set("/x", "mine");
    store.apply([put("/b", "bad", 3), del("/a", 4)], at(4));
    expect([...before.keys()]).toEqual(["/a", "/x"]);
    expect([...store.rejected.keys()]).toEqual(["/b"]);
  });

  it("shows no two keys that are left out alike, and each on one line", () => {
    const keys = ["/\xff", Buffer.from("/\xff", "latin1"), "/\\xff", "/\n", "/\\u000a", "/\ufffd", "/größe"];
    const mixed = Buffer.from("/\\\x80\n", "latin1");
    store.replace(
      [...keys, mixed].map((key) => kv(key, "bad", 2)),
      at(2),
    );
    expect([...store.rejected.keys()]).toEqual([
      "/\xff",
      "/\\xff",
      "/\\\\xff",
      "/\\u000a",
      "/\\\\u000a",
      "/\ufffd",
      "/größe",
      "/\\\\\\x80\\u000a",
    ]);
  });

  it("keeps keys apart that become one text in UTF-8", () => {
    const keys = [Uint8Array.of(0x2f, 0xff), Uint8Array.of(0x2f, 0xfe), Buffer.from("/\ufffd")];
    store.replace(
      keys.map((key) => kv(key, "1", 2)),
      at(2),
    );
    expect(store.entries()).toHaveLength(3);
    store.apply([{ type: "delete", kv: kv(keys[0] ?? "", "", 3) }], at(3));
    expect(store.entries()).toHaveLength(2);
  });

  it("passes a bookmark on without a change, and ignores the end of a stranger", () => {
    store.bookmark(at(7));
    store.apply([del("/x", 8)], at(8));
    expect(calls).toEqual([
      { changes: [], position: at(7) },
      { changes: [], position: at(8) },
    ]);
  });

  it("takes names of Object.prototype for names", () => {
    store.apply([put("__proto__", "1", 2), put("constructor", "1", 2)], at(2));
    expect(last()).toEqual(["+__proto__", "+constructor"]);
    expect(store.entries()).toHaveLength(2);
  });
});
