import { describe, expect, it } from "vitest";
import { readOptions } from "./options.mjs";

describe("readOptions", () => {
  it("has no end and no etcd of yours by default", () => {
    expect(readOptions([], {})).toEqual({ help: false, seconds: undefined, endpoints: undefined });
    expect(readOptions([], { ETCD_ENDPOINTS: "" }).endpoints).toBeUndefined();
  });

  it("prefers --endpoints to ETCD_ENDPOINTS", () => {
    const env = { ETCD_ENDPOINTS: "http://a.test:2379,http://b.test:2379" };
    expect(readOptions([], env).endpoints).toBe("http://a.test:2379,http://b.test:2379");
    expect(readOptions(["--endpoints", "https://c.test:2379"], env).endpoints).toBe("https://c.test:2379");
  });

  it("refuses what is not a URL, and says where it came from", () => {
    expect(() => readOptions([], { ETCD_ENDPOINTS: "localhost:2379" })).toThrow(
      /^ETCD_ENDPOINTS .*localhost:2379/,
    );
    expect(() => readOptions(["--endpoints", ""], {})).toThrow(/^--endpoints/);
    expect(() => readOptions(["--seconds", "soon"], {})).toThrow(/^--seconds/);
    expect(() => readOptions(["--seconds", "3e6"], {})).toThrow(
      "--seconds must be at most 2000000, got 3000000",
    );
    expect(() => readOptions(["--port", "1"], {})).toThrow("--port");
  });
});
