/**
 * What a test tells the double to do badly. It is read from `double.json` in the data directory, or from the file
 * that K3S_DOUBLE names, each time anew, so that it can change under a running one:
 *
 *     { "stages": { "member-added": { "do": "crash" }, "listening": { "do": "wait", "ms": 5000 } }, "api": { "slowMs": 200 } }
 *
 * `crash` is SIGKILL, `exit` a fatal end with `words`, `hang` never passes, `wait` passes late. With `times` it does
 * so only so often, over all starts; what happened is counted in `double.done` beside the file.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { Fatal, log } from './log.ts'

/** In the order in which a start passes them. */
export const SERVER_STAGES = [
  'start',
  'bootstrapped',
  'listening',
  'member-added',
  'etcd-started',
  'voter',
  'api-ready',
  'node-registered',
] as const
export const AGENT_STAGES = ['start', 'connected', 'configured', 'node-registered'] as const

export type Stage = (typeof SERVER_STAGES)[number] | (typeof AGENT_STAGES)[number]

const Trouble = z.object({
  do: z.enum(['crash', 'exit', 'hang', 'wait']),
  ms: z.number().nonnegative().default(0),
  words: z.string().default('told to fail'),
  times: z.number().int().positive().nullable().default(null),
})

const Orders = z.object({
  stages: z.record(z.string(), Trouble).default({}),
  api: z
    .object({ slowMs: z.number().nonnegative().default(0), refuse: z.array(z.string()).default([]) })
    .default({ slowMs: 0, refuse: [] }),
})

export type Orders = z.infer<typeof Orders>

export class Stages {
  readonly #file: string
  readonly #done: string

  constructor(dataDirectory: string, env: NodeJS.ProcessEnv = process.env) {
    this.#file = env.K3S_DOUBLE ?? join(dataDirectory, 'double.json')
    this.#done = this.#file.replace(/(\.json)?$/, '.done')
  }

  get orders(): Orders {
    return Orders.parse(existsSync(this.#file) ? JSON.parse(readFileSync(this.#file, 'utf8')) : {})
  }

  async pass(stage: Stage): Promise<void> {
    const trouble = this.orders.stages[stage]
    if (trouble === undefined || !this.#count(stage, trouble.times)) return
    log('warning', `double: told to ${trouble.do} at ${stage}`)
    switch (trouble.do) {
      case 'crash':
        process.kill(process.pid, 'SIGKILL')
        return
      case 'exit':
        throw new Fatal(trouble.words)
      case 'hang':
        await new Promise(() => undefined)
        return
      case 'wait':
        await sleep(trouble.ms)
    }
  }

  /** @returns whether it is to happen once more */
  #count(stage: Stage, times: number | null): boolean {
    if (times === null) return true
    const done = existsSync(this.#done) ? readFileSync(this.#done, 'utf8').split('\n') : []
    if (done.filter((line) => line === stage).length >= times) return false
    writeFileSync(this.#done, [...done, stage].join('\n'))
    return true
  }
}
