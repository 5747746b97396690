import { inspect } from "node:util";
import { CertificateAuthority } from "@sd/testing";
import { describe, expect, it } from "vitest";
import { createEtcd3Transport } from "./etcd3-transport.js";
import { type Etcd3TransportOptions, settle } from "./options.js";

const endpoints = "http://localhost:2379";
const refusal = (options: unknown): string => {
  try {
    settle(options as Etcd3TransportOptions);
  } catch (error) {
    expect(error).toMatchObject({ code: "SD_INVALID_ARGUMENT" });
    return (error as Error).message;
  }
  return "none";
};

describe("the options of the etcd3 transport", () => {
  it("have the documented defaults", () => {
    expect(settle({ endpoints })).toMatchObject({
      connectTimeoutMs: 10_000,
      callTimeoutMs: 5_000,
      auth: undefined,
      channelOptions: {
        "grpc.max_receive_message_length": 67_108_864,
      },
    });
  });

  it("let the user's gRPC options win", () => {
    const { channelOptions } = settle({ endpoints, grpcOptions: { "grpc.keepalive_time_ms": 20_000 } });
    expect(channelOptions["grpc.keepalive_time_ms"]).toBe(20_000);
  });

  it.each([
    [{ endpoints, connectTimeoutMs: 0 }, "connectTimeoutMs must be a number above 0, got 0"],
    [{ endpoints, callTimeoutMs: Number.NaN }, "callTimeoutMs must be a number above 0, got NaN"],
    [{ endpoints, maxReceiveBytes: "1" }, 'maxReceiveBytes must be a number above 0, got "1"'],
    [
      { endpoints, auth: { username: "", password: "x" } },
      'auth.username must be a non-empty string, got ""',
    ],
    [{ endpoints, auth: {} }, "auth.username must be a non-empty string, got undefined"],
    [{ endpoints, auth: null }, "auth.username must be a non-empty string, got undefined"],
    [{ endpoints, credentials: {} }, "endpoints must be https if credentials are given, got"],
    [
      { endpoints: "a", credentials: { rootCertificate: "PEM" } },
      "credentials.rootCertificate must be a Buffer of PEM, got string",
    ],
    [
      { endpoints: "a", credentials: { privateKey: Buffer.from("k") } },
      "credentials must be without privateKey and certChain, or with both",
    ],
    [
      { endpoints: "a", credentials: { privateKey: Buffer.from("k"), certChain: Buffer.from("c") } },
      "credentials must be PEM that OpenSSL can read, got",
    ],
  ])("refuse %j", (options, message) => {
    expect(refusal(options)).toContain(message);
  });

  it.each([
    ["nothing", undefined, "credentials must be an object, got undefined"],
    ["null", null, "credentials must be an object, got null"],
    ["a text", "s3cret", "credentials must be an object, got string"],
    [
      "an authority that is none",
      { rootCertificate: Buffer.from("s3cret") },
      "must be PEM that OpenSSL can read",
    ],
    ["an empty authority", { rootCertificate: Buffer.alloc(0) }, "must be PEM that OpenSSL can read"],
  ])(
    "refuse credentials that are %s, so that none is taken for trust in Node's authorities",
    (_, given, message) => {
      expect(() => settle({ endpoints, credentials: (() => given) as never })).toThrow(
        "endpoints must be https",
      );
      const { credentials } = settle({ endpoints: "a", credentials: (() => given) as never });
      expect(credentials).toThrow(message);
      if (given !== undefined) expect(refusal({ endpoints: "a", credentials: given })).toContain(message);
      expect(refusal({ endpoints: "a", credentials: given })).not.toContain("s3cret");
    },
  );

  it("take an authority in a bundle with remarks, as systems come with", async () => {
    const { cert } = await CertificateAuthority.create();
    const rootCertificate = Buffer.from(`# ours\n${cert}\n# and again\n${cert}`);
    expect(settle({ endpoints: "a", credentials: { rootCertificate } }).addresses[0]?.secure).toBe(true);
  });

  it("never show a secret", () => {
    const auth = { username: "root", password: "s3cret" };
    const transport = createEtcd3Transport({ endpoints, auth });
    expect(inspect(transport, { showHidden: true, depth: 9 })).not.toContain("s3cret");
    expect(refusal({ endpoints, auth: { username: "root", password: 123_456 } })).not.toContain("123456");
    for (const misplaced of [
      { endpoints: [{ host: "a", password: "s3cret" }] },
      { endpoints: { host: "a", password: "s3cret" } },
      { endpoints: "a", credentials: "s3cret" },
      { endpoints: "a", credentials: { privateKey: "s3cret" } },
      { endpoints: "a", grpcOptions: "s3cret" },
    ]) {
      expect(refusal(misplaced)).toMatch(/must be/);
      expect(refusal(misplaced)).not.toContain("s3cret");
    }
  });

  it("make a transport without I/O", async () => {
    const transport = createEtcd3Transport({ endpoints });
    await transport.close();
    await expect(transport.range({ key: new Uint8Array([1]) })).rejects.toMatchObject({ code: "SD_CLOSED" });
  });
});
