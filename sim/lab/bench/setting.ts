/** Labs as the benchmarks need them: formed, watched, and taken away again. */
import { configuration, newToken } from '../configuration.ts'
import { createLab, type Lab } from '../lab.ts'
import type { Program } from '../program.ts'
import { isReady } from '../view.ts'
import { Watch } from '../watch.ts'

export interface Bench {
  readonly program: Program
  readonly runs: number
  /** Progress, on standard error. */
  say(line: string): void
}

export interface Setting {
  readonly lab: Lab
  readonly watch: Watch
}

/** Calls `use` with a fresh lab whose daemons are not yet started, and destroys it afterwards. */
export async function withLab<T>(
  bench: Bench,
  hosts: number,
  distribution: 'etcd' | 'none',
  use: (setting: Setting) => Promise<T>,
): Promise<T> {
  const token = await newToken(bench.program, hosts, 'bench')
  const config = configuration({ token, distribution })
  const lab = await createLab({ name: 'bench', hosts, config, program: bench.program })
  // Looking costs both sides some milliseconds: more often, and it would be a good part of what is measured.
  const watch = new Watch(() => lab.hosts, hosts > 5 ? 400 : 100)
  try {
    return await use({ lab, watch })
  } finally {
    watch.stop()
    await lab.destroy()
  }
}

/** Starts every daemon, with the watch's clock beginning just before the first. */
export async function startAll({ lab, watch }: Setting): Promise<void> {
  watch.start()
  for (const host of lab.hosts) await host.startDaemon()
}

export async function untilReady({ lab, watch }: Setting, timeoutMs = 120_000): Promise<number> {
  return watch.until('everyone ready', (view) => isReady(view, lab.hosts.length), timeoutMs)
}
