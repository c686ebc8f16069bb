/**
 * Commands that people run once before k3s first starts in a role on this machine, and once after it is first ready
 * (what Kairos calls stages bootstrap.before and .after). That they ran is remembered with the epoch.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { z } from 'zod'
import { writeDurably } from '../../durable-file.ts'
import { HOOK_MS } from '../timing.ts'
import type { K3sOrder } from './configuration.ts'
import { hookFailed } from './problems.ts'

export interface Hooks {
  /** For /bin/sh, one after the other. */
  readonly before: readonly string[]
  readonly after: readonly string[]
}

type When = keyof Hooks

const ranSchema = z.strictObject({ version: z.literal(1), ran: z.array(z.string().max(256)) })

/** @throws DatastoreError with the command's words; the next call begins with that one again */
export async function runHooks(when: When, hooks: Hooks, order: K3sOrder, state: string): Promise<void> {
  const commands = hooks[when]
  if (commands.length === 0) return
  const path = join(state, 'hooks.json')
  const ran = readRan(path)
  for (const [i, command] of commands.entries()) {
    const key = `${order.genesis.slice(0, 16)} ${order.epoch} ${order.role} ${when} ${i}`
    if (ran.includes(key)) continue
    const result = await execa('/bin/sh', ['-c', command], {
      reject: false,
      timeout: HOOK_MS,
      env: {
        PATH: process.env.PATH,
        MUSTER_ROLE: order.role,
        MUSTER_NODE: order.self.name,
        MUSTER_ADDRESS: order.self.address,
      },
      extendEnv: false,
    })
    if (result.failed)
      throw hookFailed(when, command, result.stderr || (result.shortMessage ?? result.stdout))
    ran.push(key)
    await writeDurably(path, `${JSON.stringify({ version: 1, ran })}\n`)
  }
}

function readRan(path: string): string[] {
  try {
    return ranSchema.parse(JSON.parse(readFileSync(path, 'utf8'))).ran
  } catch {
    return []
  }
}
