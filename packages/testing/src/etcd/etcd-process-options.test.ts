import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { EtcdCluster } from "./etcd-cluster.js";
import { EtcdProcess } from "./etcd-process.js";
import type { EtcdProcessOptions } from "./etcd-process-options.js";
import { checkRestore } from "./snapshot-tool.js";

/** What is wrong must be said before it is even found out that there is no etcd. */
beforeEach(() => {
  vi.stubEnv("SD_ETCD_BIN", "/nowhere/etcd");
});
afterEach(() => {
  vi.unstubAllEnvs();
});

const wrong: [EtcdProcessOptions, string][] = [
  [{ port: 0 }, "port must be a whole number from 1 to 65535, got 0"],
  [{ port: 65_536 }, "got 65536"],
  [{ args: "--quota=1" as never }, 'args must be an array of strings, got "--quota=1"'],
  [{ startTimeoutMs: Number.NaN }, "startTimeoutMs must be a number from 0 to 2147483647, got NaN"],
  [null as never, "the options of an etcd must be an object, got null"],
];

describe("the options of an etcd", () => {
  it.each(wrong)("%j are refused", async (options, message) => {
    const refused = { code: "SD_INVALID_ARGUMENT", message: expect.stringContaining(message) };
    await expect(EtcdProcess.start(options)).rejects.toMatchObject(refused);
    await expect(EtcdCluster.start(options as object)).rejects.toMatchObject(refused);
  });
});

describe("the options of a restoration", () => {
  it.each([
    ["3.5.16", { bumpRevision: 0 }, "bumpRevision must be a whole number of at least 1, got 0"],
    ["3.4.23", { bumpRevision: 10 }, "bumpRevision must be left out for etcd 3.4.23"],
    ["3.5.16", { token: "" }, "token must be a text"],
  ])("on %s %j are refused", (version, options, message) => {
    expect(() => checkRestore(version, options)).toThrow(message);
    expect(() => checkRestore("3.5.16", { bumpRevision: 1, token: "other" })).not.toThrow();
  });
});
