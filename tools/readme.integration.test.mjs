/** What the README says: its example compiles, and does against a real etcd what it seems to do. */

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EtcdProcess } from "@sd/testing";
import { afterEach, describe, expect, it, vi } from "vitest";
import { cacheFolder, checkout, tool } from "./lib/checkout.mjs";

const readme = readFileSync(join(checkout, "README.md"), "utf8");
const example = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? "";
const folder = join(cacheFolder, "readme");

describe("the example of the README", () => {
  afterEach(() => vi.restoreAllMocks());

  it("has at most 15 lines", () => {
    expect(example.trim().split("\n").length).toBeLessThanOrEqual(15);
    expect(example).toContain("register(");
  });

  it("compiles under the strict settings of this workspace", () => {
    write("compiled.ts", example);
    write("tsconfig.json", '{ "extends": "../../tsconfig.base.json", "files": ["compiled.ts"] }');
    // `execFileSync` throws with the compiler's words.
    execFileSync(tool("tsc"), ["-p", folder], { cwd: checkout, stdio: "pipe", encoding: "utf8" });
  });

  it("registers, picks, updates and deregisters", async () => {
    const etcd = await EtcdProcess.start();
    try {
      const file = write("run.ts", example.replaceAll("http://127.0.0.1:2379", etcd.endpoint));
      const printed = vi.spyOn(console, "log").mockImplementation(() => {});
      await import(file);
      expect(printed.mock.calls[0]).toEqual(["localhost:8000"]);
      expect(JSON.parse(await etcd.ctl("get", "--prefix", "/", "-w", "json"))).not.toHaveProperty("kvs");
    } finally {
      await etcd[Symbol.asyncDispose]();
    }
  });
});

/**
 * @param {string} name
 * @param {string} text
 */
function write(name, text) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}
