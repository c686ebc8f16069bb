/**
 * `npm run nemesis`: real daemons with real etcd and WireGuard, each on a machine of its own, while clients write
 * to the datastore and faults are played, drawn from a seed. Then all is healed, and nothing may be lost, no rule
 * broken. The schedule is the seed's; what it meets is the machine's: the same seed may find something once.
 */
import { randomInt } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SILENT_MS } from '../src/core/timing.ts'
import { runCommand } from './flags.ts'
import { configuration, newToken } from './lab/configuration.ts'
import { type Check, check } from './lab/demo/checks.ts'
import { whyNoNamespaces } from './lab/demo/ground.ts'
import { Narrator } from './lab/demo/narrator.ts'
import type { Host } from './lab/host.ts'
import { keyValue } from './lab/key-value.ts'
import { createLab, type Lab, STATE_PATH } from './lab/lab.ts'
import { installMissing } from './lab/packages.ts'
import { findProgram } from './lab/program.ts'
import { cleanStale } from './lab/registry.ts'
import { NotInTime, until } from './lab/until.ts'
import { isDistributed, isReady, type View } from './lab/view.ts'
import { describeView, Watch } from './lab/watch.ts'
import { CREDENTIALS, finalChecks, membersOf } from './nemesis/checks.ts'
import { Clients, type Server } from './nemesis/clients.ts'
import { Clock } from './nemesis/clock.ts'
import { type Baseline, baselineOf, countsOf, unmoved } from './nemesis/counts.ts'
import { Crew } from './nemesis/crew.ts'
import { play, type Stage } from './nemesis/faults.ts'
import { Ledger } from './nemesis/ledger.ts'
import { LogTail } from './nemesis/logs.ts'
import { type NemesisOptions, parseOptions, USAGE } from './nemesis/options.ts'
import {
  drawSchedule,
  type FaultKind,
  type Lane,
  type Schedule,
  type ScheduleOptions,
} from './nemesis/schedule.ts'
import { isWhole } from './nemesis/whole.ts'
import { Witness } from './nemesis/witness.ts'
import { randomFrom } from './random.ts'

/** The one document of `--json`. */
interface Report {
  readonly seed: number
  readonly nodes: number
  readonly seconds: number
  readonly counts: Readonly<Record<string, number>>
  readonly leftOut: Readonly<Record<string, string>>
  readonly checks: readonly Check[]
}

/** Far above what forming and healing take: decides nothing but when to give up. */
const PATIENCE_MS = 90_000
/** Longer than it takes until a node that fell silent is known as such. */
const LASTING_MS = SILENT_MS + 1_000
/** What a server takes to come back, generously. */
const CALM_MS = 15_000
/** What an election takes, generously. */
const ELECTION_MS = 6_000
/** How often logs and daemons are looked at. */
const LOOK_MS = 100
/** Machines of a lab are all there at once. */
const SETTLE = '2s'

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2), randomInt(1, 1_000_000))
  if (options === null) {
    console.log(USAGE)
    return 0
  }
  const narrator = new Narrator(options.json ? process.stderr : process.stdout)
  cleanStale('nemesis')
  const obstacle = whyNoNamespaces()
  if (obstacle !== null) throw new Error(`the nemesis needs machines, and none can be made here: ${obstacle}`)
  await installMissing('lab', (line) => narrator.say(line))
  // Without it clocks do not jump, and everything else goes on.
  await installMissing('nemesis', (line) => narrator.say(line)).catch((error: unknown) =>
    narrator.say(narrator.warn(messageOf(error))),
  )
  narrator.say(
    `seed ${options.seed}, ${options.nodes} machines (again: npm run nemesis -- --seed ${options.seed})`,
  )
  const report = await run(options, narrator)
  if (options.json) console.log(JSON.stringify(report, null, 2))
  tell(report, narrator)
  return report.checks.every(({ ok }) => ok) ? 0 : 1
}

async function run(options: NemesisOptions, narrator: Narrator): Promise<Report> {
  const program = await findProgram()
  const token = await newToken(program, options.nodes, 'nemesis')
  const config = configuration({ token, distribution: 'etcd', more: { settle: SETTLE } })
  const lab = await createLab({ name: 'nemesis', hosts: options.nodes, config, program })
  try {
    return await new Nemesis(lab, options, narrator).run()
  } finally {
    if (options.logs !== null) await keepLogs(lab, options.logs)
    await lab.destroy()
  }
}

class Nemesis {
  readonly #options: NemesisOptions
  readonly #narrator: Narrator
  readonly #crew: Crew
  readonly #watch: Watch
  readonly #witness = new Witness()
  readonly #ledger = new Ledger()
  readonly #played = new Map<FaultKind, number>()
  readonly #leftOut = new Map<FaultKind, string>()
  readonly #checks: Check[] = []
  readonly #tails: readonly { readonly host: Host; readonly tail: LogTail }[]
  #baseline: Baseline = new Map()
  #looking: Promise<void> = Promise.resolve()
  #isOver = false

  constructor(lab: Lab, options: NemesisOptions, narrator: Narrator) {
    this.#options = options
    this.#narrator = narrator
    const [smallDisk, jumping] = randomFrom(options.seed, 'nemesis hosts').shuffled(lab.hosts)
    if (smallDisk === undefined || jumping === undefined) throw new Error('two hosts are needed')
    const clock = Clock.of(lab, jumping)
    if (clock === null) this.#leftOut.set('clock', 'libfaketime is not installed')
    this.#crew = new Crew({ lab, smallDisk, clock })
    this.#watch = new Watch(() => lab.hosts, 200)
    this.#watch.onChange(({ host, after }) => {
      if (after !== null) this.#witness.status(host.name, after)
    })
    this.#tails = lab.hosts.map((host) => ({ host, tail: new LogTail(host) }))
  }

  async run(): Promise<Report> {
    this.#watch.start()
    this.#looking = this.#look()
    try {
      await this.#check('a cluster is formed', () => this.#form())
      if (this.#isFine()) await this.#disturb()
    } finally {
      this.#isOver = true
      this.#watch.stop()
      await this.#looking
    }
    const counts = countsOf(
      { faults: this.#played, leftOut: this.#leftOut },
      this.#witness,
      this.#baseline,
      this.#ledger,
    )
    await this.#check('every fault was played, and moved something', () => {
      const still = unmoved(counts)
      if (still.length > 0) throw new Error(`zero: ${still.join(', ')}`)
      return `${[...this.#played.values()].reduce((sum, count) => sum + count, 0)} faults`
    })
    return {
      seed: this.#options.seed,
      nodes: this.#options.nodes,
      seconds: Math.round(this.#watch.elapsedMs() / 1_000),
      counts: Object.fromEntries(counts),
      leftOut: Object.fromEntries(this.#leftOut),
      checks: this.#checks,
    }
  }

  async #form(): Promise<string> {
    for (const host of this.#crew.hosts) await this.#crew.start(host)
    const took = await this.#untilWhole()
    return `after ${(took / 1_000).toFixed(1)} s`
  }

  /** Whole, and still so when all have heard of everyone anew: right after a fault they say what they knew. */
  async #untilWhole(): Promise<number> {
    let since: number | null = null
    const hasLasted = (view: View): boolean => {
      const now = this.#watch.elapsedMs()
      since = isWhole(view, this.#crew.hosts.length) ? (since ?? now) : null
      return since !== null && now - since >= LASTING_MS
    }
    const now = await this.#watch.until('a whole cluster', hasLasted, PATIENCE_MS)
    return since ?? now
  }

  async #disturb(): Promise<void> {
    const servers = this.#servers()
    const [first] = servers
    if (first === undefined) throw new Error('nobody is a server')
    const datastoreId = (await membersOf(first)).header.cluster_id
    this.#baseline = baselineOf(this.#witness)
    const lanes: Record<Lane, Host[]> = {
      servers: servers.map(({ host }) => host),
      agents: this.#crew.hosts.filter((host) => servers.every((server) => server.host !== host)),
    }
    if (lanes.agents.length === 0) this.#leftOut.set('wipe', 'there are no agents')
    const schedule = this.#draw(lanes)
    this.#narrator.say(`servers: ${lanes.servers.map(({ name }) => name).join(', ')}`)
    const clients = new Clients(
      servers,
      keyValue(() => CREDENTIALS),
      this.#ledger,
      this.#options.seed,
    )
    try {
      await this.#check('every fault could be played and ended', async () => {
        await Promise.all([
          this.#playLane(lanes, 'servers', schedule),
          this.#playLane(lanes, 'agents', schedule),
        ])
        await this.#heal()
        return `after ${Math.round(this.#watch.elapsedMs() / 1_000)} s`
      })
      await this.#check('everyone is ready again', async () => {
        const before = this.#watch.elapsedMs()
        const took = Math.max(0, (await this.#untilWhole()) - before)
        return `${(took / 1_000).toFixed(1)} s after the last fault`
      })
    } finally {
      await clients.stop()
    }
    const { view } = this.#watch
    const evidence = {
      crew: this.#crew,
      view,
      servers,
      datastoreId,
      ledger: this.#ledger,
      witness: this.#witness,
    }
    this.#checks.push(...(await finalChecks(evidence)))
  }

  #draw(lanes: Readonly<Record<Lane, readonly Host[]>>): Schedule {
    const laneOf = (host: Host): Lane => (lanes.servers.includes(host) ? 'servers' : 'agents')
    const { smallDisk, clock } = this.#crew
    const options: ScheduleOptions = {
      ...this.#options.pace,
      agents: lanes.agents.length,
      fullDisk: laneOf(smallDisk),
      clock: clock === null ? null : laneOf(clock.host),
    }
    return drawSchedule(this.#options.seed, options)
  }

  async #playLane(
    lanes: Readonly<Record<Lane, readonly Host[]>>,
    lane: Lane,
    schedule: Schedule,
  ): Promise<void> {
    const stage: Stage = {
      crew: this.#crew,
      lanes,
      leader: () => this.#leader(lanes[lane]),
      say: (host, text) => this.#narrator.event(this.#watch.elapsedMs(), host, text),
      pass: async (ms) => {
        await sleep(ms)
      },
    }
    const unplayed = new Set(schedule[lane].map(({ kind }) => kind))
    const endsAt = this.#watch.elapsedMs() + this.#options.pace.lengthMs
    for (const step of schedule[lane]) {
      // Waiting for machines takes time of its own, which no seed knows.
      if (unplayed.size === 0 && this.#watch.elapsedMs() >= endsAt) return
      unplayed.delete(step.kind)
      if (step.afterCalm && lane === 'servers') await this.#calm(lanes.servers)
      await play(stage, lane, step)
      this.#played.set(step.kind, (this.#played.get(step.kind) ?? 0) + 1)
      await stage.pass(step.restMs)
    }
  }

  /** Not who is agreed on: some are cut off or asleep, and say what they knew. */
  async #leader(hosts: readonly Host[]): Promise<Host | null> {
    const find = (): Host | undefined => {
      const newest = [...this.#watch.view.values()]
        .filter(({ cluster }) => cluster.leader !== null)
        .sort((a, b) => b.cluster.term - a.cluster.term)[0]
      return hosts.find((host) => this.#watch.view.get(host.index)?.self.id === newest?.cluster.leader)
    }
    return until('a leader', find, { timeoutMs: ELECTION_MS }).catch(notInTime)
  }

  /** Waits for the servers, but not for ever: who does not come back is no reason to spare the others. */
  async #calm(servers: readonly Host[]): Promise<void> {
    const isCalm = (view: View): boolean => {
      const theirs = new Map([...view].filter(([index]) => servers.some((host) => host.index === index)))
      return isReady(theirs, servers.length) && isDistributed(theirs, servers.length)
    }
    await this.#watch.until('calm', isCalm, CALM_MS).catch(notInTime)
  }

  async #heal(): Promise<void> {
    this.#narrator.event(this.#watch.elapsedMs(), null, 'the last fault has ended')
    const { lab, clock } = this.#crew
    await lab.heal()
    if (clock !== null && clock.offset !== 0) await clock.set(0)
  }

  #servers(): Server[] {
    return this.#crew.hosts.flatMap((host) => {
      const self = this.#watch.view.get(host.index)?.self
      return self?.role === 'server' && self.address !== null ? [{ host, address: self.address }] : []
    })
  }

  /** Looks at all logs and at all daemons, again and again until the run is over. */
  async #look(): Promise<void> {
    for (;;) {
      const isLast = this.#isOver
      this.#witness.lines(
        this.#tails.flatMap(({ host, tail }) => tail.news().map((line) => ({ host: host.name, line }))),
      )
      await this.#crew.lookAfter()
      if (isLast) return
      await sleep(LOOK_MS)
    }
  }

  async #check(name: string, look: () => string | Promise<string>): Promise<void> {
    const result = await check(name, look)
    this.#checks.push(result)
    if (!result.ok) {
      this.#narrator.say(this.#narrator.bad(`${name}: ${result.seen ?? 'no'}`))
      this.#narrator.say(describeView(this.#watch.view))
    }
  }

  #isFine(): boolean {
    return this.#checks.every(({ ok }) => ok)
  }
}

function tell({ counts, leftOut, checks, seed, seconds }: Report, narrator: Narrator): void {
  narrator.heading('What happened')
  for (const [name, count] of Object.entries(counts)) narrator.say(`${String(count).padStart(6)}  ${name}`)
  for (const [name, why] of Object.entries(leftOut))
    narrator.say(`${narrator.warn('left out')}  ${name}: ${why}`)
  narrator.heading('Checks')
  for (const { name, ok, seen } of checks)
    narrator.say(
      `${ok ? narrator.good('ok    ') : narrator.bad('FAILED')}  ${name}${seen === undefined ? '' : ` (${seen})`}`,
    )
  const failed = checks.filter(({ ok }) => !ok).length
  narrator.say(`\nseed ${seed}, ${seconds} s\n${checks.length - failed} passed, ${failed} failed`)
}

async function keepLogs(lab: Lab, directory: string): Promise<void> {
  mkdirSync(directory, { recursive: true })
  for (const host of lab.hosts) {
    writeFileSync(join(directory, `${host.name}.log`), host.log())
    const find = ['find', STATE_PATH, '-name', 'etcd.log', '-exec', 'cat', '{}', ';']
    const said = await host.exec(find).catch(() => null)
    writeFileSync(join(directory, `${host.name}.etcd.log`), said?.stdout ?? '')
  }
}

/** What did not come true in time is fine here: whoever waited goes on without it. */
function notInTime(error: unknown): null {
  if (error instanceof NotInTime) return null
  throw error
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

process.exitCode = await runCommand(USAGE, main)
