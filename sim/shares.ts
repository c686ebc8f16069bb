/**
 * A campaign over all cores of this machine: each worker thread takes every n-th seed, the main thread adds up.
 * What a seed does is the same wherever it runs.
 */
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { type Numbered, type Tally, tallyOf } from './campaign.ts'
import { drawSchedule } from './schedule.ts'

export interface Seeds {
  readonly from: number
  readonly count: number
  /** 1: every seed; 2: every other one. */
  readonly stride: number
  /** Every so many seeds one runs twice. */
  readonly twiceEvery: number
}

/** Every `step`-th of them. */
export interface Share extends Seeds {
  readonly first: number
  readonly step: number
}

export async function tallyEverywhere(seeds: Seeds): Promise<Tally[]> {
  const step = Math.max(1, Math.min(availableParallelism(), Math.ceil(seeds.count / 50)))
  if (step === 1) return [await tallyShare({ ...seeds, first: 0, step })]
  return await Promise.all(Array.from({ length: step }, (_, first) => inWorker({ ...seeds, first, step })))
}

export const tallyShare = (share: Share): Promise<Tally> =>
  tallyOf(numbered(share), { first: false, twiceEvery: share.twiceEvery })

function* numbered({ from, count, stride, first, step }: Share): Iterable<Numbered> {
  for (let i = first; i < count; i += step) {
    const seed = from + i * stride
    yield { schedule: drawSchedule(seed), replay: `node sim/run.ts --seed ${seed}` }
  }
}

function inWorker(share: Share): Promise<Tally> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./shares/worker.ts', import.meta.url), { workerData: share })
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', (code) => reject(new Error(`a worker ended early, with code ${code}`)))
  })
}
