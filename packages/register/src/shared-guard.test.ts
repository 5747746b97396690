import type { KeyValue, Position } from "@sd/core";
import { beforeEach, describe, expect, it } from "vitest";
import { Harness } from "../test/harness.js";
import { RangeGuard } from "./range-guard.js";
import { SharedGuard } from "./shared-guard.js";

let bench: Harness;
beforeEach(() => {
  bench = new Harness();
  return () => bench.end();
});

const key = Buffer.from("/web/a");
const kv = (modRevision: number): KeyValue => ({
  ...{ key, value: Buffer.from("x"), createRevision: modRevision, modRevision, version: 1, lease: 7n },
});

describe("SharedGuard", () => {
  it("goes on by itself in the epoch that was told last, after etcd was wiped", async () => {
    const seen: Position[] = [];
    const range = new RangeGuard([key]);
    const known = { revision: 9, held: { modRevision: 8, lease: 7n } };
    const onChange = (_: KeyValue | undefined, position: Position): void => void seen.push(position);
    const guard = new SharedGuard(range, { key, known, onChange }, () => {});
    range.replace([kv(8)], { revision: 9, epoch: 3 });
    range.replace([], { revision: 2, epoch: 4 });
    expect(
      seen.map(({ epoch }) => epoch),
      "counted from its own first",
    ).toEqual([1, 2]);
    bench.memory.put("/junk", "x");
    guard.leave(bench.client);
    await bench.clock.settle();
    bench.memory.put("/web/a", "y");
    await bench.clock.settle();
    expect(seen.slice(2)).toEqual([{ revision: 3, epoch: 2 }]);
    await guard.close();
  });
});
