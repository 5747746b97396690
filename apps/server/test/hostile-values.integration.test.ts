import { fileURLToPath } from "node:url";
import { createClient, type LeaseId } from "@sd/core";
import { EtcdProcess, etcdBinaries, startNode } from "@sd/testing";
import { describe, expect, it } from "vitest";

const server = fileURLToPath(new URL("../dist/main.js", import.meta.url));
const client = fileURLToPath(new URL("../../client/dist/main.js", import.meta.url));
const stamp = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} [IW] \| /;

/** What drives a terminal, forges a line or turns the text around it. */
const hostile = [
  "\u001b[2J\u001b]0;owned\u0007",
  "h:1\n2026-01-01 00:00:00.000000 I | del key: /web/node1",
  "h:1\r\u0085\u2028forged",
  "\u202e\u2066\u061c\u200fh:1\u202c",
  "<script>alert(1)</script>",
  "x".repeat(1024 * 1024),
];
/** All but what is printed as it is: no control, separator, bidi mark or byte that is not UTF-8. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const unsafe = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f]/;

describe.each(etcdBinaries().slice(-1))(
  "the apps before hostile keys and values (F72 to F74), on $name",
  ({ binary }) => {
    it("print each on one line of bounded length, with nothing in it that acts", async () => {
      await using etcd = await EtcdProcess.start({ binary });
      await using writer = createClient({ endpoints: etcd.endpoint });
      const lease: LeaseId = (await writer.leases.grant({ ttlSeconds: 600 })).id;
      const put = (key: Buffer, value: string): Promise<unknown> =>
        writer.transport.txn({
          compare: [],
          success: [{ type: "put", key, value: Buffer.from(value), lease }],
          failure: [],
        });
      const endpoints = ["--endpoints", etcd.endpoint];
      await using reader = startNode(client, ["--prefix", "/web/", "--every", "1", ...endpoints]);
      await reader.waitForLine("watching prefix");
      for (const [id, value] of hostile.entries()) {
        await put(Buffer.from(`/web/${id}`), value);
        await put(Buffer.from(`/web/${id}${value.slice(0, 100)}`), "h:1");
      }
      await put(Buffer.from([...Buffer.from("/web/"), 0xff, 0xfe]), "h:1");
      await put(Buffer.from("/web/last"), "h:1");
      const last = await reader.waitForLine("put key : /web/last val: h:1");
      await reader.waitForLine("I | map[", { from: last.index });

      // And to a server whose key another holds.
      await using contender = startNode(server, ["--key", "/web/1", "--value", "h:2", ...endpoints]);
      await contender.waitForLine(/key:\/web\/1 is held by val:h:1\\u000a2026/);

      const lines = [...reader.lines, ...contender.lines].map(({ text }) => text);
      const puts = lines.filter((line) => line.includes("put key"));
      expect(puts).toHaveLength(2 * hostile.length + 1);
      for (const line of lines) {
        expect(line).toMatch(stamp);
        expect(line).not.toMatch(unsafe);
        expect(line.length).toBeLessThan(8_000);
      }
      expect(lines.filter((line) => line.replace(stamp, "").startsWith("del key"))).toEqual([]);
      for (const app of [reader, contender]) {
        app.signal("SIGTERM");
        expect((await app.exited).code).toBe(0);
      }
    });
  },
);
