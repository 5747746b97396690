import type { KeyValue, WatchEvent } from "@sd/core";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { RangeGuard } from "./range-guard.js";

const key = (text: string): Buffer => Buffer.from(text);
const kv = (text: string, modRevision: number, lease = 7n): KeyValue => ({
  key: key(text),
  value: key("v"),
  createRevision: modRevision,
  modRevision,
  version: 1,
  lease,
});
const put = (text: string, revision: number): WatchEvent => ({ type: "put", kv: kv(text, revision) });
const deleted = (text: string, revision: number): WatchEvent => ({ type: "delete", kv: kv(text, revision) });

let guard: RangeGuard;
let seen: (readonly [revision: number | undefined, at: number])[];
beforeEach(() => {
  guard = new RangeGuard([key("/a/5"), key("/a/1"), key("/a/3")]);
  seen = [];
});
const watch = () =>
  guard.watch(key("/a/3"), (current, { revision }) => seen.push([current?.modRevision, revision]));

describe("RangeGuard", () => {
  it("reaches from the first of our keys to the last, and no further", () => {
    expect(guard.range).toEqual({ key: key("/a/1"), rangeEnd: Uint8Array.from(key("/a/5\0")) });
  });

  it("tells what a list shows, of our key only, and that it is not there", () => {
    watch();
    guard.replace([kv("/a/1", 4), kv("/a/2", 5), kv("/a/3", 6)], { revision: 9, epoch: 1 });
    guard.replace([kv("/a/1", 4), kv("/a/2", 5)], { revision: 12, epoch: 1 });
    expect(seen).toEqual([
      [6, 6],
      [undefined, 12],
    ]);
    expect([guard.size, guard.revisionOf(key("/a/2"))], "others' too").toEqual([2, 5]);
  });

  it("takes a list in parts, of which nothing shows before the last", () => {
    guard.replace([kv("/a/1", 4), kv("/a/3", 6)], { revision: 9, epoch: 1 });
    watch();
    const draft = guard.draft({ revision: 20, epoch: 2 });
    draft.take([kv("/a/1", 14), kv("/a/2", 15)]);
    draft.take([kv("/a/3", 16)]);
    expect([seen, guard.size, guard.revisionOf(key("/a/1"))]).toEqual([[], 2, 4]);
    draft.replace();
    expect([seen, guard.size, guard.revisionOf(key("/a/1"))]).toEqual([[[16, 16]], 3, 14]);
  });

  it("tells of several changes in one message the outcome", () => {
    guard.replace([kv("/a/3", 6)], { revision: 9, epoch: 1 });
    const watching = watch();
    expect(guard.apply([deleted("/a/3", 10), put("/a/2", 11), put("/a/3", 12)])).toBe(true);
    void watching.close();
    guard.apply([deleted("/a/3", 13)]);
    expect(seen).toEqual([[12, 12]]);
  });

  it("finds what contradicts what it holds", () => {
    guard.replace([kv("/a/2", 6)], { revision: 9, epoch: 1 });
    expect(guard.apply([put("/a/2", 6)]), "no newer").toBe(false);
    expect(guard.apply([deleted("/a/4", 10)]), "not there").toBe(false);
  });

  it("tells our keys from another's of the same revision by the lease, and others' by the revision", () => {
    guard.replace([kv("/a/2", 5), kv("/a/3", 6)], { revision: 9, epoch: 1 });
    expect([
      guard.isHeld(kv("/a/3", 6)),
      guard.isHeld(kv("/a/3", 7)),
      guard.isHeld(kv("/a/3", 6, 8n)),
    ]).toEqual([true, false, false]);
    expect([guard.isHeld(kv("/a/2", 5, 8n)), guard.isHeld(kv("/a/4", 5))]).toEqual([true, false]);
  });

  it("is ahead of what is known if it has seen more: after etcd was wiped, for ever and again", () => {
    const known = { revision: 5, held: { modRevision: 5, lease: 7n } };
    expect(guard.isAhead(key("/a/3"), known), "not listed yet").toBe(false);
    guard.replace([kv("/a/3", 5)], { revision: 300, epoch: 1 });
    expect(guard.isAhead(key("/a/3"), known), "the same").toBe(false);
    guard.apply([put("/a/3", 301)]);
    expect(guard.isAhead(key("/a/3"), known)).toBe(true);
    expect(guard.isAhead(key("/a/3"), { revision: 400, held: undefined }), "older").toBe(false);
  });

  it("keeps nothing of others' values while a list comes in parts, and shows nothing before its end", () => {
    guard.replace([kv("/a/3", 6)], { revision: 9, epoch: 1 });
    watch();
    const draft = guard.draft({ revision: 12, epoch: 1 });
    const value = vi.fn(() => key("v"));
    const other = Object.defineProperty({ ...kv("/a/2", 10) }, "value", { get: value });
    draft.take([kv("/a/1", 4), other]);
    draft.take([kv("/a/3", 11)]);
    expect([seen, guard.size, guard.revisionOf(key("/a/2"))]).toEqual([[], 1, undefined]);
    draft.replace();
    expect([seen, guard.size, guard.revisionOf(key("/a/2"))]).toEqual([[[11, 11]], 3, 10]);
    expect(value).not.toHaveBeenCalled();
  });
});
