import { describe, expect, it } from "vitest";
import { bytes, text } from "../../test/observe.js";
import { RecordingStore } from "../../test/recorders.js";
import { header } from "../../test/scripted-transport.js";
import type { KeyValue, RangeResponse } from "../etcd/types.js";
import type { History } from "./history.js";
import { Intake } from "./intake.js";
import { defaultLimits } from "./limits.js";
import type { Slice } from "./list.js";
import type { Draft, Position, Store } from "./store.js";

const kv = (key: string, modRevision: number, lease = 7n): KeyValue => ({
  ...{ key: bytes(key), value: bytes("12345"), createRevision: 1, modRevision, version: 1, lease },
});
const slice = (revision: number, ...kvs: readonly KeyValue[]): Slice => ({ kvs, header: header(revision) });

/** A store that holds /a@2 and /b@3, at revision 10; `log` shows what becomes of a list. */
function openStore(): { store: Store; log: string[]; history: History } {
  const log: string[] = [];
  const base = new RecordingStore();
  base.replace([kv("/a", 2), kv("/b", 3)], { revision: 10, epoch: 1 });
  const store: Store = {
    size: base.size,
    revisionOf: (key) => base.revisionOf(key),
    isHeld: (kv) => base.isHeld(kv),
    draft({ revision, epoch }: Position): Draft {
      log.push(`draft ${revision} of ${epoch}`);
      return {
        take: (kvs) => void log.push(kvs.map(({ key }) => text(key)).join()),
        replace: () => void log.push("replace"),
      };
    },
    replace: () => log.push("whole"),
    apply: () => true,
    bookmark() {},
  };
  const history: History = {
    ...{ position: { revision: 10, epoch: 1 }, clusterId: undefined, anchor: undefined },
  };
  return { store, log, history };
}

describe("Intake", () => {
  const limits = defaultLimits;

  it("hands each part to a draft, and knows at the end what the list was, without one look back", () => {
    const { store, log, history } = openStore();
    const intake = new Intake({ store, history, limits });
    for (const part of [slice(20, kv("/a", 2), kv("/c", 15)), slice(20, kv("/d", 12))]) {
      const page: RangeResponse = { ...part, more: false, count: 3 };
      intake.check(page);
      expect(intake.take(part)).toBe(true);
    }
    expect(log).toEqual(["draft 20 of 1", "/a,/c", "/d"]);
    intake.replace();
    expect(log.at(-1)).toBe("replace");
    expect(intake).toMatchObject({ keys: 3, bytes: 21, broken: undefined });
    expect(intake.history).toMatchObject({
      position: { revision: 20, epoch: 1 },
      clusterId: header(20).clusterId,
      anchor: { key: bytes("/c"), modRevision: 15, lease: 7n },
    });
  });

  it("begins a new epoch if the first part shows the break (D8)", () => {
    const { store, log, history } = openStore();
    const intake = new Intake({ store, history, limits });
    expect(intake.take(slice(20, kv("/a", 4)))).toBe(true);
    expect(intake.take(slice(20, kv("/b", 5)))).toBe(true);
    expect(log).toEqual(["draft 20 of 2", "/a", "/b"]);
    expect([intake.broken, intake.history.position]).toEqual(["another-past", { revision: 20, epoch: 2 }]);
  });

  it("takes the same revision under another lease for a break (D8)", () => {
    const { store, history } = openStore();
    const intake = new Intake({ store, history, limits });
    intake.take(slice(20, kv("/a", 2, 8n)));
    expect(intake.broken).toBe("another-past");
    const { isHeld: _, ...plain } = store;
    const unaware = new Intake({ store: plain, history, limits });
    unaware.take(slice(20, kv("/a", 2, 8n)));
    expect(unaware.broken, "by a store that does not tell").toBe(undefined);
  });

  it("gives up if a later part shows it: what was taken before is void (D8)", () => {
    const { store, log, history } = openStore();
    const intake = new Intake({ store, history, limits });
    expect(intake.take(slice(20, kv("/a", 2)))).toBe(true);
    expect(intake.take(slice(20, kv("/b", 5)))).toBe(false);
    expect(log).toEqual(["draft 20 of 1", "/a"]);
    const again = new Intake({ store, history, limits, broken: intake.broken });
    expect([again.take(slice(21, kv("/a", 2))), again.take(slice(21, kv("/b", 5)))]).toEqual([true, true]);
    expect(again).toMatchObject({
      broken: "another-past",
      history: { position: { revision: 21, epoch: 2 } },
    });
  });

  it("has no break before the first list, and takes an empty one", () => {
    const { store, log } = openStore();
    const intake = new Intake({ store, history: undefined, limits });
    expect(intake.take(slice(1))).toBe(true);
    expect(log).toEqual(["draft 1 of 1", ""]);
    expect(intake.history.anchor).toBe(undefined);
  });

  it("gives a store that has no drafts everything at once", () => {
    const store = new RecordingStore();
    const intake = new Intake({ store, history: undefined, limits });
    intake.take(slice(9, kv("/a", 2)));
    intake.take(slice(9, kv("/b", 3)));
    expect(store.calls).toEqual([]);
    intake.replace();
    expect(store.calls).toEqual(["replace 2 -> 9"]);
    expect(Object.keys(store.content)).toEqual(["/a", "/b"]);
  });

  it("refuses what is beyond the limits: keys by the first page, bytes as they come (D14)", () => {
    const { store, log, history } = openStore();
    const intake = new Intake({ store, history, limits: { maxKeys: 9, maxBytes: 13 } });
    const page = (count: number): RangeResponse => ({ ...slice(20), more: true, count });
    intake.check(page(9));
    expect(() => intake.check(page(10))).toThrow("10 keys");
    intake.take(slice(20, kv("/a", 2)));
    expect(() => intake.take(slice(20, kv("/b", 3)))).toThrow("14 bytes");
    expect(log).toEqual(["draft 20 of 1", "/a"]);
  });
});
