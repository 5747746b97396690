/**
 * Reads apt's lists of sources and derives from them the same archive's other suites. Pure text, no I/O.
 *
 * Both forms of sources.list(5) are read: one line each (`deb [options] uri suite component…`), and deb822 stanzas.
 */

/** Debian's suites, oldest first. Names of other distributions' suites are not here: nothing is derived for them. */
const debianSuites = ["bullseye", "bookworm", "trixie", "sid"];
const debianAliases = ["oldstable", "stable", "testing", "unstable"];

/** @typedef {Map<string, string>} Source field name in lower case → value, as in deb822 */

/**
 * Reads one file of sources.
 *
 * @param {string} text
 * @param {"list" | "sources"} form
 * @returns {Source[]} those that are enabled and have binary packages
 */
export function readSources(text, form) {
  const sources =
    form === "list" ? text.split("\n").flatMap(readLine) : text.split(/\n(?:[ \t]*\n)+/).map(readStanza);
  return sources.filter(
    (source) =>
      words(source, "types").includes("deb") && !/^(no|false|off|0)$/i.test(source.get("enabled") ?? "yes"),
  );
}

/**
 * Gives the newer suites of the distribution that these sources belong to, oldest first; none if it is not known.
 *
 * @param {Source[]} sources
 */
export function newerSuites(sources) {
  const own = sources.flatMap((source) => words(source, "suites"));
  const newest = Math.max(...own.map((suite) => debianSuites.indexOf(suite)));
  if (newest >= 0) return debianSuites.slice(newest + 1);
  return own.some((suite) => debianAliases.includes(suite)) ? ["trixie", "sid"] : [];
}

/**
 * Writes deb822 sources for another suite: same archive, same key, `main` only.
 *
 * Only a source that carries a plain Debian suite is followed: the archives of updates, of security fixes and of
 * third parties have other layouts. Every other field stays, above all `Signed-By`.
 *
 * @param {Source[]} sources
 * @param {string} suite
 * @returns {string} empty if there is nothing to derive from
 */
export function sourcesForSuite(sources, suite) {
  return sources
    .filter(
      (source) => words(source, "suites").some(isDebianSuite) && words(source, "components").includes("main"),
    )
    .map((source) => {
      const changed = new Map([...source, ["types", "deb"], ["suites", suite], ["components", "main"]]);
      return [...changed].map(([name, value]) => `${name}: ${value}\n`).join("");
    })
    .join("\n");
}

/** @param {string} suite */
const isDebianSuite = (suite) => debianSuites.includes(suite) || debianAliases.includes(suite);

/** @param {Source} source @param {string} name */
const words = (source, name) => (source.get(name) ?? "").split(/\s+/).filter(Boolean);

/** @param {string} line @returns {Source[]} */
function readLine(line) {
  const match = /^\s*(deb)\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line);
  if (!match) return [];
  const [, type = "", options = "", uri = "", suite = "", components = ""] = match;
  if (uri.startsWith("cdrom:")) return [];
  const source = new Map([
    ["types", type],
    ["uris", uri],
    ["suites", suite],
    ["components", components.trim()],
  ]);
  for (const option of options.split(/\s+/).filter(Boolean)) {
    const [name = "", value = ""] = option.split(/=(.*)/s);
    source.set(name === "arch" ? "architectures" : name.toLowerCase(), value.replaceAll(",", " "));
  }
  return [source];
}

/** @param {string} text @returns {Source} */
function readStanza(text) {
  /** @type {Source} */
  const source = new Map();
  let field = "";
  for (const line of text.split("\n").filter((each) => !each.startsWith("#"))) {
    const match = /^([^\s:]+):\s*(.*)$/.exec(line);
    if (match) {
      field = (match[1] ?? "").toLowerCase();
      source.set(field, (match[2] ?? "").trimEnd());
    } else if (/^\s+\S/.test(line) && field !== "") {
      // A key written into the file spans lines; each goes on with a blank.
      source.set(field, `${source.get(field)}\n${line}`);
    }
  }
  return source;
}
