import { createClient, type EtcdClient, type LeaseId, SdError } from "@sd/core";
import { EtcdProcess, etcdBinaries } from "@sd/testing";
import "@sd/testing/vitest";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { discover, discoverPrefix } from "../src/index.js";

const MiB = 1024 * 1024;
const address = "localhost:1";
const fields = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`f${i}`, i]));
const texts = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`f${i}`, ""]));
const nested = (depth: number): string => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;

/** What a writer of the service's keys may put there, and no instance can be read from. */
const hostile: Record<string, string | Uint8Array> = {
  "1 MiB of text": "x".repeat(MiB),
  "1 MiB of JSON": JSON.stringify({ address, x: "x".repeat(MiB) }),
  "10,000 fields": JSON.stringify({ address, ...fields }),
  "10,000 entries of metadata": JSON.stringify({ address, metadata: texts }),
  "nested 10,000 deep": `{"address":"${address}","x":${nested(10_000)}}`,
  "brackets only": "[".repeat(60_000),
  "no UTF-8": Uint8Array.of(0x7b, 0xff, 0xfe, 0x7d),
  "a prototype with an address": `{"__proto__":{"address":"${address}"}}`,
  "a drive of the terminal": '\u001b]0;owned\u0007\u001b[2J\u202e"\n2026-01-01 W | forged',
  "a huge number": `{"address":"${address}","weight":1e400}`,
  "an address with a password": "root:s3cret@localhost:1",
  "an address of a file": "file:///etc/passwd",
};
/** Every field known, and every name a trap. */
const trap = `{"address":"${address}","metadata":{"__proto__":"x","constructor":"y"},"constructor":{"z":1}}`;

describe.each(etcdBinaries())("a discovery among hostile values (F70 to F74), on $name", ({ binary }) => {
  let etcd: EtcdProcess;
  let client: EtcdClient;
  let lease: LeaseId;

  beforeAll(async () => {
    etcd = await EtcdProcess.start({ binary });
    client = createClient({ endpoints: etcd.endpoint });
    lease = (await client.leases.grant({ ttlSeconds: 600 })).id;
  });
  afterAll(async () => {
    await client.close();
    await etcd[Symbol.asyncDispose]();
  });

  const put = (key: string | Uint8Array, value: string | Uint8Array): Promise<unknown> =>
    client.transport.txn({
      compare: [],
      success: [{ type: "put", key: Buffer.from(key as string), value: Buffer.from(value as string), lease }],
      failure: [],
    });
  const putAll = async (prefix: string): Promise<void> => {
    let id = 0;
    for (const value of Object.values(hostile)) await put(`${prefix}hostile-${id++}`, value);
  };

  it.each(["listed", "watched"])("shows the others, and says of each why it is left out: %s", async (how) => {
    const service = `${how}-web`;
    if (how === "listed") await putAll(`/${service}/`);
    await put(`/${service}/good`, address);
    await using web = await discover(client, { service });
    if (how === "watched") await putAll(`/${service}/`);
    await put(`/${service}/trap`, trap);
    await expect(web).toConverge(["good", "trap"], { withinMs: 10_000 });
    expect(web.state.status).toBe("live");
    expect(web.rejected.size).toBe(Object.keys(hostile).length);
    for (const error of web.rejected.values()) {
      expect(SdError.is(error, "SD_INVALID_ARGUMENT")).toBe(true);
      expect((error as Error).message).toMatch(/^[\x20-\x7e]{1,400}$/);
    }
    expect(Object.entries(web.snapshot.instances[1]?.metadata ?? {})).toEqual([
      ["__proto__", "x"],
      ["constructor", "y"],
    ]);
    for (const name of ["address", "z", "metadata"]) expect(Object.prototype).not.toHaveProperty(name);
  });

  it("takes no key for another that is not the same bytes", async () => {
    const twins = [
      [0xff],
      [0xfe],
      [0xef, 0xbf, 0xbd], // U+FFFD, which a careless reader makes of the two before
      [0x61, 0x00],
      [0xed, 0xa0, 0x80],
    ];
    for (const twin of twins) {
      await put(Buffer.concat([Buffer.from("/twins/"), Uint8Array.from(twin)]), address);
    }
    await put("/twins/a", address);
    await using web = await discover(client, { service: "twins" });
    expect(web.snapshot.instances.map(({ id }) => id)).toEqual(["a"]);
    expect(web.rejected.size).toBe(twins.length);
    await using raw = await discoverPrefix(client, "/twins/");
    expect(raw.snapshot.instances.map(({ key }) => key)).toEqual(["/twins/a", "/twins/a\0", "/twins/\ufffd"]);
    expect(raw.rejected.size).toBe(3);
  });
});
