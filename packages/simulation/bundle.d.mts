import type { Plugin } from "esbuild";

/** Bundles `src/<entry>.ts` with all that is ours; packages of others stay where they are. */
export declare function bundle(entry: string, outfile: string, plugins?: Plugin[]): Promise<void>;
