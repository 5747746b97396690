import type { KeyValue, LeaseId } from "@sd/core";
import { Cancellation, SdError } from "@sd/core";
import { beforeEach, describe, expect, it } from "vitest";
import { Harness } from "../test/harness.js";
import { type ClaimRequest, claim } from "./claim.js";
import { Writes } from "./writes.js";

const KEY = "/web/node1";
const OURS = 7n as LeaseId;
const OTHER = 8n as LeaseId;

let bench: Harness;
let writes: Writes;
beforeEach(async () => {
  bench = new Harness();
  const transport = bench.memory.transport();
  writes = new Writes(transport);
  for (const id of [OURS, OTHER]) await transport.grant({ id, ttlSeconds: 60 });
  return () => bench.end();
});

const request = (change: Partial<ClaimRequest> = {}): ClaimRequest => ({
  key: Buffer.from(KEY),
  value: Buffer.from("a"),
  lease: OURS,
  expected: undefined,
  mayReplace: () => false,
  cancellation: new Cancellation(),
  ...change,
});
const txns = (): number => bench.memory.callsOf("txn").length;

describe("claim()", () => {
  it("writes an absent key in one transaction", async () => {
    expect(await claim(writes, request())).toEqual({ type: "owned", revision: 2, storeRevision: 2 });
    expect([bench.textOf(KEY), txns()]).toEqual(["a", 1]);
  });

  it("writes nothing when all is well already, and tells since when", async () => {
    await claim(writes, request());
    bench.memory.put("/other", "x");
    expect(await claim(writes, request())).toEqual({ type: "owned", revision: 2, storeRevision: 3 });
    expect(bench.writes(KEY)).toBe(1);
  });

  it("replaces its own value under its own lease", async () => {
    await claim(writes, request());
    await claim(writes, request({ value: Buffer.from("b") }));
    await claim(writes, request({ value: Buffer.from("c"), expected: 3 }));
    expect(bench.history(KEY)).toEqual(["a", "b", "c"]);
    expect(txns()).toBe(4);
  });

  it("shows another's entry to `mayReplace`, and leaves it alone without its leave (R2)", async () => {
    bench.memory.put(KEY, "x", { lease: OTHER });
    const shown: KeyValue[] = [];
    const mayReplace = (current: KeyValue): boolean => !shown.push(current);
    const result = await claim(writes, request({ mayReplace }));
    expect(result).toMatchObject({ type: "foreign", storeRevision: 2 });
    expect(shown).toMatchObject([{ lease: OTHER, modRevision: 2 }]);
    expect(bench.history(KEY)).toEqual(["x"]);
  });

  it("replaces what it was shown, not what came after", async () => {
    bench.memory.put(KEY, "x", { lease: OTHER });
    const shown: string[] = [];
    const mayReplace = ({ value }: KeyValue): boolean => {
      shown.push(Buffer.from(value).toString());
      if (shown.length === 1) bench.memory.put(KEY, "y");
      return shown.length < 2;
    };
    expect((await claim(writes, request({ mayReplace }))).type).toBe("foreign");
    expect(shown).toEqual(["x", "y"]);
    expect(bench.textOf(KEY)).toBe("y");
  });

  it("writes an absent key although another revision was expected", async () => {
    expect((await claim(writes, request({ expected: 99 }))).type).toBe("owned");
    expect([bench.textOf(KEY), txns()]).toEqual(["a", 2]);
  });

  it("does not take an entry without a lease for its own (R2)", async () => {
    bench.memory.put(KEY, "a");
    expect((await claim(writes, request())).type).toBe("foreign");
  });

  it("throws SD_LEASE_LOST for a dead lease, and writes nothing (R4)", async () => {
    bench.memory.revokeLease(OURS);
    const error = await claim(writes, request()).catch((thrown: unknown) => thrown);
    expect(SdError.is(error, "SD_LEASE_LOST")).toBe(true);
    expect(bench.history(KEY)).toEqual([]);
  });

  it("gives up for now on an etcd that refuses each time, and shows that the guard holds", async () => {
    let sent = 0;
    const contradicting: Pick<Writes, "write"> = {
      async write() {
        sent += 1;
        return { isWritten: false, current: undefined, storeRevision: 5 };
      },
    };
    await expect(claim(contradicting, request())).rejects.toMatchObject({
      code: "SD_UNAVAILABLE",
      message: '"/web/node1" was another 16 times in a row',
    });
    expect(sent).toBe(16);
  });
});
