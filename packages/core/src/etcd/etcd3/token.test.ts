import { ManualClock } from "@sd/testing";
import { describe, expect, it } from "vitest";
import { Bounds } from "./bounds.js";
import { statusError } from "./failures.js";
import { type Token, Tokens } from "./token.js";

/** Answers of etcd, one for each request for a token. */
function tokens(...answers: (string | Error)[]) {
  let asked = 0;
  const clock = new ManualClock();
  const source = new Tokens(async () => {
    const answer = answers[asked++];
    if (typeof answer !== "string") throw answer;
    return answer;
  }, clock);
  return {
    clock,
    get: () => within(source),
    refuse: source.refuse.bind(source),
    doubt: source.doubt.bind(source),
    asked: () => asked,
  };
}

async function within(source: Tokens): Promise<Token> {
  using bounds = new Bounds(undefined, { among: new Set() });
  return await source.get(bounds);
}

describe("tokens", () => {
  it("are not asked for without name and password", async () => {
    expect(await within(new Tokens(undefined))).toBeUndefined();
  });

  it("are asked for once by a thousand callers (R18)", async () => {
    const source = tokens("t1", "t2");
    const got = await Promise.all(Array.from({ length: 1_000 }, source.get));
    expect(new Set(got)).toEqual(new Set(["t1"]));
    expect(source.asked()).toBe(1);
  });

  it("are replaced once when a thousand callers were refused", async () => {
    const source = tokens("t1", "t2", "t3");
    await source.get();
    const retry = async (): Promise<unknown> => {
      source.refuse("t1");
      return source.get();
    };
    expect(new Set(await Promise.all(Array.from({ length: 1_000 }, retry)))).toEqual(new Set(["t2"]));
    source.refuse("t1");
    expect(await source.get()).toBe("t2");
    expect(source.asked()).toBe(2);
  });

  it("are asked for again after a failure", async () => {
    const source = tokens(statusError({ code: 14, details: "down" }, "a"), "t2");
    await expect(source.get()).rejects.toMatchObject({ code: "SD_UNAVAILABLE" });
    expect(await source.get()).toBe("t2");
  });

  it("are done without while etcd asks for none, until it does", async () => {
    const off = { code: 9, details: "etcdserver: authentication is not enabled" };
    const source = tokens(statusError(off, "a"), "t2");
    expect(await source.get()).toBeUndefined();
    expect(await source.get()).toBeUndefined();
    source.refuse(undefined);
    expect(await source.get()).toBe("t2");
  });

  it("are replaced if nothing is answered on a second connection either: etcd may have another history (F8)", async () => {
    const source = tokens("t1", "t2");
    await source.get();
    await source.clock.advance(1_000);
    source.doubt("t1", 0);
    source.doubt("t1", 999);
    expect(await source.get(), "the link is dead").toBe("t1");
    await source.clock.advance(3_000);
    source.doubt("t1", 1_000);
    expect(await source.get()).toBe("t2");
    source.doubt("t1", 4_000);
    expect(await source.get(), "of its predecessor").toBe("t2");
  });

  it("are kept though links die again and again", async () => {
    const source = tokens("t1");
    await source.get();
    for (let links = 0; links < 3; links += 1) {
      source.doubt("t1", source.clock.now());
      await source.clock.advance(60_001);
    }
    expect(await source.get()).toBe("t1");
  });
});
