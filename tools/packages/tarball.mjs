/** What a tarball of ours may hold. Pure: lists of names in, complaints out. */

const allowed = /^package\/(dist\/.+|bin\/[^/]+\.js|README\.md|LICENSE|package\.json)$/;
const tests = /\.(test|test-d|integration\.test)\.|(^|\/)(test|tests|src)\//;
const needed = ["package.json", "dist/index.js", "dist/index.cjs", "dist/index.d.ts", "dist/index.d.cts"];

/**
 * Names what is in a tarball and should not be, and what is missing.
 *
 * @param {string[]} files as `tar -t` lists them
 * @param {string} manifest the text of its `package.json`
 * @returns {string[]} empty if all is well
 */
export function complaints(files, manifest) {
  return [
    ...files
      .filter((file) => !allowed.test(file) || tests.test(file))
      .map((file) => `${file} does not belong in it`),
    ...needed.filter((file) => !files.includes(`package/${file}`)).map((file) => `${file} is missing`),
    ...["@sd/source", "workspace:"]
      .filter((word) => manifest.includes(word))
      .map((word) => `package.json says ${word}`),
  ];
}
