import { describe, expect, it } from "vitest";
import { SdError } from "../../kit/errors.js";
import { parseEndpoints } from "./endpoints.js";

const urls = (given: unknown, bareIsSecure = false): string[] =>
  parseEndpoints(given, bareIsSecure).map(({ url }) => url);

describe("endpoints", () => {
  it.each([
    ["http://127.0.0.1:2379", "http://127.0.0.1:2379"],
    ["https://etcd-1.example:2379/", "https://etcd-1.example:2379"],
    ["HTTP://Etcd:2379", "http://etcd:2379"],
    ["localhost:12379", "http://localhost:12379"],
    ["localhost", "http://localhost:2379"],
    ["http://localhost", "http://localhost:2379"],
    ["http://[::1]:2379", "http://[::1]:2379"],
    ["[2001:db8::1]", "http://[2001:db8::1]:2379"],
  ])("reads %s as %s", (given, url) => {
    expect(urls(given)).toEqual([url]);
  });

  it("takes a bare host for https if there are credentials", () => {
    expect(urls("localhost:1", true)).toEqual(["https://localhost:1"]);
  });

  it("keeps the text as configured, and drops duplicates", () => {
    expect(parseEndpoints(["localhost:2379/", "http://LOCALHOST", "b"], false)).toEqual([
      { endpoint: "localhost:2379/", url: "http://localhost:2379", secure: false },
      { endpoint: "b", url: "http://b:2379", secure: false },
    ]);
  });

  it.each([
    [undefined],
    [""],
    [[]],
    [[""]],
    [[1]],
    [{}],
    ["ftp://a:1"],
    ["unix:///run/etcd.sock"],
    ["http://a:0"],
    ["http://a:65536"],
    ["http://a:1234567"],
    ["http://a:x"],
    ["http://a:1/v3"],
    ["http://a:1?b=c"],
    ["http://a:1#b"],
    ["http://a:1,http://b:1"],
    ["::1"],
    ["http://[::1"],
    ["http://[nonsense]:1"],
    ["a b:1"],
    [["http://a:1", "https://b:1"]],
  ])("refuses %j, saying what it must be", (given) => {
    const attempt = (): unknown => parseEndpoints(given, false);
    expect(attempt).toThrow(/must be .*http.*, got /);
    expect(attempt).toThrow(expect.objectContaining({ code: "SD_INVALID_ARGUMENT" }));
  });

  it("refuses a password in the address without showing it", () => {
    try {
      parseEndpoints(["http://root:s3cret@a:1"], false);
      expect.unreachable();
    } catch (error) {
      expect(SdError.is(error, "SD_INVALID_ARGUMENT")).toBe(true);
      expect((error as Error).message).toContain("option auth");
      expect((error as Error).message).not.toContain("s3cret");
    }
  });
});
