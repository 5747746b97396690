/** What the READMEs say: their code compiles, and the examples do what they seem to do. */

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { EtcdProcess } from "@sd/testing";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { cacheFolder, checkout, tool } from "./lib/checkout.mjs";
import { asModule, codeBlocks, consumerTest, packages, readmes } from "./lib/readme.mjs";
import { CommandFailed, run } from "./lib/run.mjs";

const example = codeBlocks("README.md")[0]?.code ?? "";
const folder = join(cacheFolder, "readme");

beforeAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the code in the READMEs", () => {
  it("compiles under the strict settings of this workspace", async () => {
    /** @type {Record<string, string[]>} */
    const exported = {};
    for (const name of packages) exported[name] = Object.keys(await import(name));
    const files = readmes()
      .flatMap(codeBlocks)
      .map(({ readme, line, code }) => {
        const name = `${readme.replaceAll("/", "-")}-line-${line}.ts`;
        write(name, asModule(code, exported));
        return name;
      });
    expect(files.length).toBeGreaterThanOrEqual(8);
    // Examples may declare what they do not use.
    const compilerOptions = { noUnusedLocals: false };
    write("tsconfig.json", JSON.stringify({ extends: "../../tsconfig.base.json", compilerOptions, files }));
    await play("tsc", ["-p", folder]);
  });
});

describe("the example of the README", () => {
  afterEach(() => vi.restoreAllMocks());

  it("has at most 15 lines", () => {
    expect(example.trim().split("\n").length).toBeLessThanOrEqual(15);
    expect(example).toContain("register(");
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

describe("the test file that @sd/testing shows to its users", () => {
  it("passes", async () => {
    const test = write("consumer/example.test.ts", consumerTest());
    const conditions = ["@sd/source", "module", "import", "node", "default"];
    const config = {
      resolve: { conditions },
      ssr: { resolve: { conditions } },
      test: { testTimeout: 30_000 },
    };
    write("consumer/vitest.config.mjs", `export default ${JSON.stringify(config)};\n`);
    const args = ["run", "--root", join(folder, "consumer"), "--reporter=json", "--silent"];
    // What this vitest tells its own processes is not for that one.
    const env = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !name.startsWith("VITEST")),
    );
    const report = JSON.parse(await play("vitest", args, env));
    expect(report).toMatchObject({ numPassedTests: 1, numTotalTests: 1, testResults: [{ name: test }] });
  });
});

/**
 * Runs a tool, and fails with its words.
 *
 * @param {string} name
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 */
async function play(name, args, env = process.env) {
  try {
    return await run(tool(name), args, { cwd: checkout, env });
  } catch (error) {
    if (error instanceof CommandFailed) throw new Error(`${error.message}\n${error.output}`);
    throw error;
  }
}

/**
 * @param {string} name
 * @param {string} text
 */
function write(name, text) {
  const file = join(folder, name);
  mkdirSync(join(file, ".."), { recursive: true });
  writeFileSync(file, text);
  return file;
}
