import { describe, expect, it } from "vitest";
import { newerSuites, readSources, sourcesForSuite } from "./apt-sources.mjs";

const deb822 = `Types: deb deb-src
# a remark
URIs: http://archive.test/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /keys/debian.gpg

Types: deb
URIs: http://archive.test/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://old.test/debian
Suites: bullseye
Components: main
`;

describe("readSources", () => {
  it("reads deb822 stanzas and leaves out the disabled ones", () => {
    const sources = readSources(deb822, "sources");
    expect(sources.map((source) => source.get("suites"))).toEqual([
      "bookworm bookworm-updates",
      "bookworm-security",
    ]);
  });

  it("reads one-line sources with their options, without remarks, deb-src and discs", () => {
    const text = `# deb http://no.test/debian sid main
deb [arch=amd64,arm64 signed-by=/keys/a.gpg] http://archive.test/debian bookworm main contrib # yes
deb-src http://archive.test/debian bookworm main
deb cdrom:[Debian_12]/ bookworm main`;
    expect(readSources(text, "list").map((source) => Object.fromEntries(source))).toEqual([
      {
        types: "deb",
        uris: "http://archive.test/debian",
        suites: "bookworm",
        components: "main contrib",
        architectures: "amd64 arm64",
        "signed-by": "/keys/a.gpg",
      },
    ]);
  });

  it("keeps a key that is written into the file", () => {
    const text = "Types: deb\nSuites: sid\nSigned-By:\n -----BEGIN-----\n .\n abc\n";
    expect(readSources(text, "sources")[0]?.get("signed-by")).toBe("\n -----BEGIN-----\n .\n abc");
  });
});

describe("newerSuites", () => {
  /** @param {string} suite */
  const of = (suite) => newerSuites(readSources(`deb http://archive.test/x ${suite} main`, "list"));

  it("goes on from the machine's own suite", () => {
    expect(of("bookworm")).toEqual(["trixie", "sid"]);
    expect(of("trixie")).toEqual(["sid"]);
    expect(of("sid")).toEqual([]);
    expect(of("stable")).toEqual(["trixie", "sid"]);
  });

  it("knows nothing about other distributions", () => {
    expect(of("noble")).toEqual([]);
    expect(newerSuites([])).toEqual([]);
  });
});

describe("sourcesForSuite", () => {
  it("keeps archive and key, and takes only the main archive", () => {
    expect(sourcesForSuite(readSources(deb822, "sources"), "trixie")).toBe(`types: deb
uris: http://archive.test/debian
suites: trixie
components: main
signed-by: /keys/debian.gpg
`);
  });

  it("is empty where there is nothing to derive from", () => {
    expect(sourcesForSuite(readSources("deb http://archive.test/ubuntu noble main", "list"), "sid")).toBe("");
  });
});
