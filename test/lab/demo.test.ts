/** The demo as people and scripts start it, on the ground that needs no root. CI plays it on machines by itself. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { parseOptions, UsageError } from '../../sim/lab/demo/options.ts'
import { until } from '../../sim/lab/until.ts'

const DEMO = `${import.meta.dirname}/../../sim/lab/demo.ts`
const LABS = '/var/tmp'

const Report = z.strictObject({
  nodes: z.number(),
  status: z.looseObject({ apiVersion: z.literal('muster/v1'), nodes: z.array(z.unknown()) }),
  timings: z.strictObject({
    firstContactMs: z.number(),
    foundedMs: z.number(),
    /** There is no mesh on loopback addresses. */
    meshMs: z.null(),
    distributionMs: z.number(),
  }),
  checks: z.array(z.strictObject({ name: z.string(), ok: z.boolean(), seen: z.string().optional() })),
  notChecked: z.array(z.string()),
})

interface Running {
  readonly process: ChildProcess
  readonly stdout: Promise<string>
  readonly ended: Promise<number | null>
  /** Everything on standard error so far. */
  said(): string
}

function start(...args: string[]): Running {
  const child = spawn(process.execPath, [DEMO, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  return { process: child, stdout: text(child.stdout), ended, said: () => said }
}

/** The directory of the lab that this process owns. */
function directoryOf(pid: number | undefined): string | null {
  const isOwn = (entry: string): boolean => {
    try {
      return JSON.parse(readFileSync(`${LABS}/${entry}/lab.json`, 'utf8')).owner.pid === pid
    } catch {
      return false
    }
  }
  const entry = readdirSync(LABS).find((name) => name.startsWith('muster-lab-demo-') && isOwn(name))
  return entry === undefined ? null : `${LABS}/${entry}`
}

function processesWith(path: string): string[] {
  return readdirSync('/proc').filter((entry) => {
    if (!/^\d+$/.test(entry)) return false
    try {
      return readFileSync(`/proc/${entry}/cmdline`, 'utf8').includes(path)
    } catch {
      return false
    }
  })
}

describe('the demo on loopback addresses', () => {
  it('forms a cluster, prints one document about it, and leaves nothing', async () => {
    const demo = start('--loopback', '--json')
    const directory = await until('its lab', () => directoryOf(demo.process.pid))
    const code = await demo.ended
    expect(code, demo.said()).toBe(0)
    const report = Report.parse(JSON.parse(await demo.stdout))
    expect(report.nodes).toBe(3)
    expect(report.status.nodes.length).toBe(3)
    expect(report.checks.filter((check) => !check.ok)).toEqual([])
    expect(report.checks.map((check) => check.name)).toContain('a key written on one node is read on another')
    expect(report.notChecked.join()).toContain('WireGuard')
    expect(existsSync(directory)).toBe(false)
    expect(processesWith(directory)).toEqual([])
  }, 120_000)

  it('takes everything away when it is interrupted', async () => {
    const demo = start('--loopback', '--json')
    const directory = await until('its lab', () => directoryOf(demo.process.pid))
    await until('a datastore', () => processesWith(directory).length > 3)
    demo.process.kill('SIGINT')
    expect(await demo.ended, demo.said()).toBe(130)
    expect(await demo.stdout).toBe('')
    expect(existsSync(directory)).toBe(false)
    expect(processesWith(directory)).toEqual([])
  })
})

describe('the command line of the demo', () => {
  it.each([
    ['--nodes', '0'],
    ['--nodes', '31'],
    ['--nodes', 'three'],
    ['--nodes'],
    ['--colour'],
    ['5'],
    ['--chaos', '--nodes', '2'],
    ['--distribution', 'k0s'],
    ['--k3s-bin', process.execPath],
    ['--distribution', 'k3s', '--k3s-bin', '/nowhere/k3s'],
    ['--distribution', 'k3s', '--loopback'],
  ])('refuses %s %s', (...args) => {
    expect(() => parseOptions(args.filter((word) => word !== undefined))).toThrow(UsageError)
  })

  it('takes etcd, the double of k3s, or a k3s that is there', () => {
    expect(parseOptions([])?.k3s).toBeNull()
    expect(parseOptions(['--distribution', 'k3s'])?.k3s).toEqual({ binary: null })
    const binary = process.execPath
    expect(parseOptions(['--distribution', 'k3s', '--k3s-bin', binary])?.k3s).toEqual({ binary })
  })

  it('is explained where it is wrong, with exit code 2', async () => {
    const demo = start('--nodes', '0', '--json')
    expect(await demo.ended).toBe(2)
    expect(await demo.stdout).toBe('')
    expect(demo.said()).toContain('usage: npm run demo')
  })
})
