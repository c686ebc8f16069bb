/** From the start of a daemon to its first answer to `status`. */
import { until } from '../until.ts'
import type { Figure } from './figure.ts'
import { type Bench, withLab } from './setting.ts'

export async function ready(bench: Bench): Promise<Figure[]> {
  const runs = Math.max(5, bench.runs)
  const samples: number[] = []
  await withLab(bench, 3, 'none', async ({ lab }) => {
    const [host] = lab.hosts
    if (host === undefined) throw new Error('a host is needed')
    for (let run = 1; run <= runs; run++) {
      bench.say(`start to status, run ${run} of ${runs}`)
      const at = performance.now()
      await host.startDaemon()
      await until('an answer', () => host.status(), { everyMs: 5 })
      samples.push((performance.now() - at) / 1_000)
      await host.stop()
    }
  })
  return [
    { name: 'daemon start to the first status', unit: 's', samples, target: { bound: 'below', value: 1 } },
  ]
}
