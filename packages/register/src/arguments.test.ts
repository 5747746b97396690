import { createClient, defaultFormat, type InstanceRecord } from "@sd/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Harness } from "../test/harness.js";
import { register, registerKey, startKeyRegistration, startRegistration } from "./register.js";
import { registerAll, startAllRegistrations } from "./register-all.js";

const odd: readonly unknown[] = [0, "x", [], () => {}, Symbol("s"), 1n, Number.NaN, { now: 1 }];
const instance = { service: "a", id: "b", address: "a:1" };
const key = { key: "a", value: "b" };

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(() => harness.end());

describe.each(odd)("where it does not belong, %o", (value) => {
  const thing = value as never;
  const refusal = (subject: string) => ({
    code: "SD_INVALID_ARGUMENT",
    message: expect.stringMatching(new RegExp(`${subject}.* must be .*, got `)),
  });
  const thrown = (call: () => unknown): unknown => {
    try {
      return call();
    } catch (error) {
      return error;
    }
  };

  it("is refused before any I/O, with the name of the argument", async () => {
    const { client, memory } = harness;
    expect(thrown(() => startKeyRegistration(thing, key))).toMatchObject(refusal("client"));
    expect(thrown(() => startRegistration(thing, instance))).toMatchObject(refusal("client"));
    await expect(register(client, { ...instance, signal: thing })).rejects.toMatchObject(refusal("signal"));
    await expect(registerKey(client, { ...key, signal: thing })).rejects.toMatchObject(refusal("signal"));
    expect(thrown(() => startRegistration(client, { ...instance, format: thing }))).toMatchObject(
      refusal("format"),
    );
    for (const name of ["clock", "random", "transport"]) {
      expect(thrown(() => createClient({ endpoints: "http://a", [name]: thing }))).toMatchObject(
        refusal(name),
      );
    }
    expect(thrown(() => client.attach(thing))).toMatchObject(refusal("thing"));
    expect(memory.calls).toEqual([]);
  });

  it("is refused as a listener or signal of a registration", async () => {
    const registration = startKeyRegistration(harness.client, key);
    if (typeof value !== "function") {
      expect(thrown(() => registration.subscribe(thing))).toMatchObject(refusal("listener"));
    }
    expect(thrown(() => registration.renewals({ signal: thing }))).toMatchObject(refusal("signal"));
    await expect(registration.ready({ signal: thing })).rejects.toMatchObject(refusal("signal"));
    await expect(registration.update("c", { signal: thing })).rejects.toMatchObject(refusal("signal"));
  });
});

describe("registerAll()", () => {
  const wrong: [what: string, instances: readonly unknown[], message: string][] = [
    ["a hole", Object.assign(Array(2), { 0: instance }), "instances[1]: it must be an object, got undefined"],
    ["text", [instance, "a:1"], "instances[1]: it must be an object, got string"],
    [
      "a wrong address",
      [instance, { ...instance, id: "c", address: "x" }],
      'instances[1]: address must be host:port with a port from 1 to 65535, such as localhost:8000, got "x"',
    ],
    [
      "one with a TTL of its own",
      [instance, { ...instance, id: "c", ttlSeconds: 30 }],
      "instances[1]: ttlSeconds must be set beside instances, for all of them, got 30",
    ],
    [
      "one with a signal of its own",
      [{ ...instance, signal: new AbortController().signal }],
      "instances[0]: signal must be set beside instances, for all of them, got ",
    ],
    ["a lone surrogate", [{ ...instance, id: "\ud800" }], "instances[0]: id must be well-formed Unicode"],
    [
      "one key twice",
      [
        { ...instance, id: "\u00e9" },
        { ...instance, id: "e\u0301" },
      ],
      'instances must be each of a key of its own, got "/a/%C3%A9"',
    ],
  ];

  it.each(wrong)("says which of the instances is %s, before any I/O", async (_what, instances, message) => {
    const { client, memory } = harness;
    const refusal = { code: "SD_INVALID_ARGUMENT", message: expect.stringContaining(message) };
    const options = { instances: instances as never };
    expect(() => startAllRegistrations(client, { instances: [instance], ttlSeconds: 1 })).toThrow(
      /^ttlSeconds /,
    );
    await expect(registerAll(client, options)).rejects.toMatchObject(refusal);
    expect(() => startAllRegistrations(client, options)).toThrow(expect.objectContaining(refusal));
    expect(memory.calls).toEqual([]);
  });

  it.each([
    ["format", defaultFormat],
    ["metadata", { team: "x" }],
  ])("refuses %s beside the instances, where nobody would look at it", async (name, value) => {
    const { client, memory } = harness;
    const options = { instances: [instance], [name]: value };
    await expect(registerAll(client, options)).rejects.toMatchObject({
      code: "SD_INVALID_ARGUMENT",
      message: expect.stringContaining(`${name} must be set in each of the instances, got `),
    });
    expect(memory.calls).toEqual([]);
  });
});

describe("a format of one's own", () => {
  const { read, write } = defaultFormat;

  it.each([
    ["text", "a:1"],
    ["nothing", undefined],
    ["a promise", Promise.resolve(Buffer.from("a:1"))],
    ["numbers", [97, 58, 49]],
  ])(
    "is refused before any I/O if it writes %s, and changes nothing in an update",
    async (_what, written) => {
      const { client, memory } = harness;
      let isOdd = true;
      const format = {
        read,
        write: (record: InstanceRecord) => (isOdd ? (written as never) : write(record)),
      };
      const refusal = {
        code: "SD_INVALID_ARGUMENT",
        message: expect.stringMatching(
          /^what format.write\(\) gives must be bytes, as of Buffer.from\(text\), got /,
        ),
      };
      await expect(register(client, { ...instance, format })).rejects.toMatchObject(refusal);
      expect(memory.calls).toEqual([]);
      isOdd = false;
      const registration = await harness.run(register(client, { ...instance, format }));
      isOdd = true;
      await expect(registration.update({ address: "a:2" })).rejects.toMatchObject(refusal);
      expect([harness.history("/a/b"), registration.state.status]).toEqual([["a:1"], "registered"]);
    },
  );

  it("may write all into one buffer", async () => {
    const { client, memory, clock } = harness;
    const buffer = Buffer.alloc(3);
    const format = {
      read,
      write: ({ address }: InstanceRecord) => {
        buffer.write(address);
        return buffer;
      },
    };
    const one = await harness.run(register(client, { ...instance, id: "one", address: "a:1", format }));
    await harness.run(register(client, { ...instance, id: "two", address: "a:2", format }));
    if (one.state.status !== "registered") throw new Error(one.state.status);
    memory.put("/a/one", "odd", { lease: one.state.leaseId });
    await clock.advance(1_000);
    expect(harness.history("/a/one")).toEqual(["a:1", "odd", "a:1"]);
  });
});
