import { defaultFormat } from "@sd/core";
import { describe, expect, it } from "vitest";
import { instanceContent, rawContent, toBytes } from "./content.js";

const text = "/services/web/node-1";

describe("what is kept for as long as a registration lives", () => {
  it.each([
    ["a key", toBytes("key", text)],
    ["a key of bytes", toBytes("key", Buffer.from(text))],
    ["a value", rawContent(text).value],
    ["a record", instanceContent({ address: "10.0.0.1:80" }, defaultFormat).value],
  ])("keeps no more memory than its own: %s", (_what, bytes) => {
    expect(bytes.buffer.byteLength).toBe(bytes.length);
  });

  it("is a copy of the caller's bytes", () => {
    const mine = Buffer.from(text);
    const kept = toBytes("key", mine);
    mine.fill(0);
    expect(Buffer.from(kept).toString()).toBe(text);
  });
});
