/**
 * What a benchmark is made of. Types only.
 *
 * @typedef {Readonly<Record<string, number>>} Figures what one contender measured in one run, by metric
 *
 * @typedef {object} Context what a contender gets, in a process of its own
 * @property {string} endpoint of a real etcd on loopback
 * @property {(what?: string) => Promise<void>} drive has the parent process do the job's `drive()`, and waits for it
 *
 * @typedef {object} Setting what the parent process gets
 * @property {string} endpoint
 * @property {import("./raw-etcd.mjs").RawEtcd} etcd
 * @property {import("@sd/testing").EtcdProcess} process
 *
 * @typedef {object} Target
 * @property {string} [of] a contender: the figure is to be at most `max` times its; else at most `max`
 * @property {number} [max]
 * @property {number} [min] instead of `max`
 *
 * @typedef {object} Row
 * @property {string} metric
 * @property {string} unit
 * @property {readonly Target[]} [targets]
 *
 * @typedef {object} Job
 * @property {string} name
 * @property {string} title
 * @property {readonly Row[]} rows
 * @property {number} [maxRuns] for those that take minutes
 * @property {Readonly<Record<string, (context: Context) => Promise<Figures>>>} contenders the first is ours
 * @property {(setting: Setting) => Promise<void>} [prepare] once, before all runs
 * @property {(setting: Setting, what: string) => Promise<void>} [drive]
 * @property {(setting: Setting) => Promise<void>} [restore] after each run of a contender
 */
export {};
