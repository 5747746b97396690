import { createClient } from "@sd/core";
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
});
