/**
 * `npm run demo`: N machines with the same configuration become one cluster, live. On a Debian-like machine
 * as root it installs what it needs; elsewhere it shows as much as can be shown.
 */
import type { StatusDocument } from '../../src/core/status.ts'
import { chaos } from './demo/chaos.ts'
import { type Check, finalChecks, spokesman } from './demo/checks.ts'
import { type Ground, loopback, namespaces, whyNoNamespaces } from './demo/ground.ts'
import { Narrator } from './demo/narrator.ts'
import { type DemoOptions, parseOptions, USAGE, UsageError } from './demo/options.ts'
import { clusterTable } from './demo/table.ts'
import { installMissing } from './packages.ts'
import { findProgram } from './program.ts'
import { cleanStale } from './registry.ts'
import { hasContact, isDistributed, isFounded, isMeshed, isReady } from './view.ts'
import { Watch } from './watch.ts'

/** The one document of `--json`. Times since the first daemon was started; null where it never came to that. */
interface Report {
  /** How many machines took part. */
  readonly nodes: number
  /** The cluster as its leader sees it at the end. */
  readonly status: StatusDocument | null
  readonly timings: Timings
  readonly checks: readonly Check[]
  readonly notChecked: readonly string[]
}

interface Timings {
  /** Someone saw someone. */
  firstContactMs: number | null
  /** Everyone held the genesis. */
  foundedMs: number | null
  /** Everyone had a mesh path to everyone; null where there is no mesh. */
  meshMs: number | null
  /** Every server's datastore member was a healthy voter; null with kind none. */
  distributionMs: number | null
}

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2))
  if (options === null) {
    process.stdout.write(USAGE)
    return 0
  }
  const narrator = new Narrator(options.json ? process.stderr : process.stdout)
  const removed = cleanStale('demo', { alsoKept: options.clean })
  if (removed.length > 0) narrator.say(`took away what was left of ${removed.length} earlier run(s)`)
  if (options.clean) return 0

  const ground = await prepare(options, narrator)
  try {
    const report = await play(ground, options, narrator)
    if (options.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
    if (options.keep) keep(ground, narrator)
    return report.checks.every((item) => item.ok) ? 0 : 1
  } finally {
    await ground.destroy()
  }
}

/** On machines where they can be made, else on loopback addresses, and says why. */
async function prepare(options: DemoOptions, narrator: Narrator): Promise<Ground> {
  const { nodes, k3s } = options
  let reason = options.loopback ? 'asked for' : whyNoNamespaces()
  try {
    if (reason === null) await installMissing('demo', (line) => narrator.say(line))
  } catch (error) {
    narrator.say(narrator.warn(error instanceof Error ? error.message : String(error)))
    reason = 'packages are missing'
  }
  const program = await findProgram()
  try {
    if (reason === null) {
      const ground = await namespaces(program, nodes, k3s)
      narrator.say(`${nodes} machines in namespaces, on one switch, with the same configuration`)
      return ground
    }
  } catch (error) {
    narrator.say(narrator.warn(error instanceof Error ? error.message : String(error)))
    reason = 'machines cannot be made here'
  }
  if (k3s !== null) throw new Error(`k3s needs machines of its own: ${reason}`)
  narrator.say(`${nodes} daemons on loopback addresses, without a mesh (${reason})`)
  return loopback(program, nodes)
}

async function play(ground: Ground, options: DemoOptions, narrator: Narrator): Promise<Report> {
  const { nodes } = options
  const timings: Timings = { firstContactMs: null, foundedMs: null, meshMs: null, distributionMs: null }
  const watch = new Watch(() => ground.hosts, nodes > 5 ? 400 : 100)
  const patience = 60_000 + nodes * 5_000
  const checks: Check[] = []
  watch.onChange((change) => narrator.tell(change))
  watch.onChange(({ atMs }) => {
    const { view } = watch
    if (hasContact(view)) timings.firstContactMs ??= atMs
    if (isFounded(view, nodes)) timings.foundedMs ??= atMs
    if (ground.kind === 'namespaces' && isMeshed(view, nodes)) timings.meshMs ??= atMs
    if (ground.distribution !== 'none' && isDistributed(view, nodes)) timings.distributionMs ??= atMs
  })
  narrator.heading('Formation')
  watch.start()
  try {
    for (const host of ground.hosts) await host.startDaemon()
    await watch
      .until('a ready cluster', (view) => isReady(view, nodes) && isDistributed(view, nodes), patience)
      .catch((error: unknown) => {
        narrator.say(narrator.bad(error instanceof Error ? error.message : String(error)))
        for (const host of ground.hosts)
          narrator.say(`${host.name}: ${host.log().split('\n').slice(-8).join('\n  ')}`)
      })
    const { keys } = ground
    const formed = await finalChecks(ground, watch.view, keys)
    narrator.heading('The cluster')
    narrator.say(clusterTable(ground.hosts, watch.view))
    checks.push(...formed)
    if (options.chaos && formed.every((item) => item.ok)) {
      checks.push(...(await chaos(ground, watch, keys, narrator)))
      narrator.heading('The cluster afterwards')
      narrator.say(clusterTable(ground.hosts, watch.view))
    } else if (options.chaos) {
      checks.push({ name: 'chaos', ok: false, seen: 'not begun: the cluster was not whole' })
    }
  } finally {
    watch.stop()
  }
  const report = { nodes, status: spokesman(watch.view), timings, checks, notChecked: ground.notChecked }
  summarise(report, narrator)
  return report
}

function summarise({ timings, checks, notChecked }: Report, narrator: Narrator): void {
  narrator.heading('Checks')
  for (const { name, ok, seen } of checks) {
    narrator.say(
      `${ok ? narrator.good('ok    ') : narrator.bad('FAILED')}  ${name}${seen === undefined ? '' : ` (${seen})`}`,
    )
  }
  for (const name of notChecked) narrator.say(`${narrator.warn('not checked')}  ${name}`)
  narrator.heading('From the first start')
  const times = [
    ['first contact', timings.firstContactMs],
    ['founded', timings.foundedMs],
    ['mesh', timings.meshMs],
    ['datastore', timings.distributionMs],
  ] as const
  for (const [name, value] of times) {
    const seconds = value === null ? '-' : `${(value / 1_000).toFixed(2)} s`
    narrator.say(`${name.padEnd(13)}  ${seconds.padStart(8)}`)
  }
}

function keep(ground: Ground, narrator: Narrator): void {
  ground.keep()
  narrator.heading('Left running')
  for (const host of ground.hosts) narrator.say(`${host.name}: ${ground.enter(host)}`)
  narrator.say('to end it: npm run demo -- --clean')
}

try {
  process.exitCode = await main()
} catch (error) {
  if (error instanceof UsageError) process.stderr.write(`${error.message}\n\n${USAGE}`)
  else process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  process.exitCode = error instanceof UsageError ? 2 : 1
}
