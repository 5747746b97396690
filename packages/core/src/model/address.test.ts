import { describe, expect, it } from "vitest";
import { parseAddress } from "./address.js";

describe("parseAddress", () => {
  it.each([
    ["localhost:8000", "localhost", 8000],
    ["10.0.0.7:1", "10.0.0.7", 1],
    ["web_1.example.com:65535", "web_1.example.com", 65535],
    ["[::1]:8000", "::1", 8000],
    ["[fe80::1%eth0]:8000", "fe80::1%eth0", 8000],
    ["[::ffff:10.0.0.7]:8000", "::ffff:10.0.0.7", 8000],
  ])("reads %s", (address, host, port) => expect(parseAddress(address)).toEqual({ host, port }));

  it.each([
    "",
    "localhost",
    "localhost:",
    ":8000",
    "localhost:0",
    "localhost:65536",
    "localhost:100000",
    "localhost:-1",
    "localhost:1e3",
    "localhost:80 ",
    "localhost:80\n",
    "http://localhost:80",
    "user@localhost:80",
    "localhost:80/path",
    "::1:8000",
    "[::1]",
    "[::1:8000",
    "[localhost]:8000",
    "-web:8000",
    "..:8000/",
    "w\u0435b:8000",
    `${"a".repeat(254)}:80`,
    undefined,
    null,
    8000,
    ["localhost:8000"],
  ])("refuses %j", (address) => {
    expect(() => parseAddress(address)).toThrow(expect.objectContaining({ code: "SD_INVALID_ARGUMENT" }));
  });
});
