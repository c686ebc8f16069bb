/** From the start of the first daemon to everyone's mesh, and to a healthy datastore. */
import { isDistributed, isMeshed } from '../view.ts'
import type { Figure } from './figure.ts'
import { type Bench, startAll, withLab } from './setting.ts'

const PATIENCE_MS = 120_000

export async function formation(bench: Bench): Promise<Figure[]> {
  const mesh: number[] = []
  const datastore: number[] = []
  for (let run = 1; run <= bench.runs; run++) {
    bench.say(`formation of 3 hosts with etcd, run ${run} of ${bench.runs}`)
    await withLab(bench, 3, 'etcd', async (setting) => {
      const { watch } = setting
      await startAll(setting)
      mesh.push((await watch.until('mesh', (view) => isMeshed(view, 3), PATIENCE_MS)) / 1_000)
      datastore.push((await watch.until('etcd', (view) => isDistributed(view, 3), PATIENCE_MS)) / 1_000)
    })
  }
  return [
    { name: '3 hosts: start to mesh', unit: 's', samples: mesh, target: { bound: 'below', value: 5 } },
    {
      name: '3 hosts: start to healthy etcd',
      unit: 's',
      samples: datastore,
      target: { bound: 'below', value: 15 },
    },
  ]
}

export async function formationOfTen(bench: Bench): Promise<Figure[]> {
  const mesh: number[] = []
  for (let run = 1; run <= bench.runs; run++) {
    bench.say(`formation of 10 hosts, run ${run} of ${bench.runs}`)
    await withLab(bench, 10, 'none', async (setting) => {
      await startAll(setting)
      mesh.push((await setting.watch.until('mesh', (view) => isMeshed(view, 10), PATIENCE_MS)) / 1_000)
    })
  }
  return [{ name: '10 hosts: start to mesh', unit: 's', samples: mesh, target: { bound: 'below', value: 8 } }]
}
