/** What can be wrong with a machine: said with cause and cure, with the right exit code, and nothing is lost. */
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Host } from '../../sim/lab/host.ts'
import { CONFIG_PATH, STATE_PATH } from '../../sim/lab/lab.ts'
import { until } from '../../sim/lab/until.ts'
import type { StatusDocument } from '../../src/core/status.ts'
import {
  type Cluster,
  createCluster,
  genesisOf,
  keys,
  logged,
  PATIENCE_MS,
  untilReady,
  viewOf,
} from './cluster.ts'

let cluster: Cluster

beforeAll(async () => {
  // One machine is a cluster, and none sees another unless it is told where that is.
  cluster = await createCluster({
    name: 'faults',
    hosts: 1,
    expect: 1,
    discovery: { mdns: false },
    more: { settle: '0s' },
  })
}, PATIENCE_MS)
afterAll(() => cluster.lab.destroy())

const newHost = (): Promise<Host> => cluster.lab.addHost()

async function sh(host: Host, script: string): Promise<string> {
  const { stdout, stderr, exitCode } = await host.exec(['sh', '-c', script])
  expect(exitCode, `${script}: ${stderr}`).toBe(0)
  return stdout
}

/** The whole problem, once the status shows it. */
async function untilProblem(host: Host, code: string): Promise<StatusDocument['problems'][number]> {
  const find = ({ problems }: StatusDocument) => problems.find((problem) => problem.code === code)
  const status = await host.untilStatus(code, (seen) => find(seen) !== undefined, PATIENCE_MS)
  const problem = find(status)
  if (problem === undefined) throw new Error(`no ${code}`)
  return problem
}

const untilStage = (host: Host, stage: StatusDocument['self']['stage']): Promise<StatusDocument> =>
  host.untilStatus(stage, ({ self }) => self.stage === stage, PATIENCE_MS)

const idOf = (host: Host): unknown => logged(host, 'node.started').at(-1)?.id

describe('a configuration that is wrong', () => {
  it.for([
    {
      what: 'a token with a typing error',
      text: `muster:\n  token: TOKEN\n  distribution: {kind: none}\n`,
      says: ['wrong.yaml:2: muster.token', 'checksum'],
    },
    {
      what: 'no YAML',
      text: `muster:\n  token: [\n`,
      says: ['wrong.yaml:'],
    },
    {
      what: 'an unknown key',
      text: `muster:\n  vpn: {cdir: 10.99.0.0/16}\n  distribution: {kind: none}\n`,
      says: ['wrong.yaml:2: muster.vpn.cdir: unknown key', 'cidr'],
    },
    {
      what: 'an unknown kind of distribution',
      text: `muster:\n  token: TOKEN\n  distribution: {kind: swarm}\n`,
      says: ['muster.distribution.kind', 'k3s', 'etcd', 'none'],
    },
  ])('$what ends with 2 and names file and key', async ({ text, says }) => {
    const host = cluster.host(1)
    // One letter differs: the token itself is never repeated.
    const typo = cluster.token.slice(0, -1) + (cluster.token.endsWith('x') ? 'y' : 'x')
    const path = cluster.lab.share('wrong.yaml', text.replace('TOKEN', typo))
    const { exitCode, stderr, stdout } = await host.up({
      upArguments: ['--config', path, '--state', STATE_PATH],
    })
    expect(exitCode, stderr).toBe(2)
    for (const word of says) expect(stderr).toContain(word)
    expect(stderr).toContain('hint: ')
    expect(stderr + stdout).not.toContain(typo)
    expect(existsSync(host.place.stateDirectory)).toBe(false)
  })

  it('a file that is not there ends with 2', async () => {
    const { exitCode, stderr } = await cluster.host(1).up({ upArguments: ['--config', '/nowhere.yaml'] })
    expect(exitCode, stderr).toBe(2)
    expect(stderr).toContain('/nowhere.yaml')
  })

  it('without a daemon, status ends with 3 and says how to start one', async () => {
    const { exitCode, stderr, stdout } = await cluster.host(1).muster(['status'])
    expect(exitCode, stderr).toBe(3)
    expect(stderr).toContain('/run/muster.sock')
    expect(stderr).toContain('hint: ')
    expect(stdout).toBe('')
  })
})

describe('a state directory', () => {
  it('that is read-only ends the start with 1; it is the same node when it can be written again', async () => {
    const host = await newHost()
    await host.startDaemon()
    const genesis = genesisOf(await untilReady([host]))
    const id = idOf(host)
    await host.stop()
    const before = readFileSync(join(host.place.stateDirectory, 'state'))
    await sh(host, `mount --bind ${STATE_PATH} ${STATE_PATH} && mount -o remount,bind,ro ${STATE_PATH}`)
    const { exitCode, stderr } = await host.up()
    expect(exitCode, stderr).toBe(1)
    expect(stderr).toContain(STATE_PATH)
    expect(stderr).toMatch(/hint: mount that file system read-write/)
    expect(readFileSync(join(host.place.stateDirectory, 'state'))).toEqual(before)

    await sh(host, `umount ${STATE_PATH}`)
    await host.startDaemon()
    expect(genesisOf(await untilReady([host]))).toBe(genesis)
    expect(idOf(host)).toBe(id)
  })

  it('that is full at the start ends it with 1', async () => {
    const host = await newHost()
    await sh(host, `mkdir ${STATE_PATH} && mount -t tmpfs -o size=64k tmpfs ${STATE_PATH}`)
    await fill(host)
    const { exitCode, stderr } = await host.up()
    expect(exitCode, stderr).toBe(1)
    expect(stderr).toContain(STATE_PATH)
    expect(stderr).toMatch(/no space/)
    expect(stderr).toMatch(/hint: free some space/)
  })

  it('that fills up keeps the node silent and saying why; with room it goes on by itself', {
    timeout: 3 * PATIENCE_MS,
  }, async () => {
    const host = await newHost()
    const late = await newHost()
    await sh(host, `mkdir ${STATE_PATH} && mount -t tmpfs -o size=1m tmpfs ${STATE_PATH}`)
    await host.startDaemon({ upArguments: cluster.upWith('in-memory', { more: { allow_ephemeral: true } }) })
    const genesis = genesisOf(await untilReady([host]))
    await fill(host)
    const discovery = { mdns: false, peers: [host.address] }
    // It, too, could found alone: it looks around first.
    await late.startDaemon({ upArguments: cluster.upWith('late', { discovery, more: { settle: '1m' } }) })
    const problem = await untilProblem(host, 'store.failed')
    expect(problem).toMatchObject({ severity: 'error', message: expect.stringContaining('no space') })
    expect(problem.hint).toContain('free some space')
    expect((await late.status())?.self.role).toBe('pending')

    await sh(host, `rm ${STATE_PATH}/filler`)
    const view = await untilReady([host, late])
    expect(genesisOf(view)).toBe(genesis)
    expect(logged(host, 'store.recovered')).toHaveLength(1)
    expect(logged(host, 'node.started')).toHaveLength(1)
  })

  it('that is lost at a reboot blocks the node: it does not found', async () => {
    const host = await newHost()
    await sh(host, `mkdir ${STATE_PATH} && mount -t tmpfs tmpfs ${STATE_PATH}`)
    await host.startDaemon()
    const problem = await untilProblem(host, 'state.ephemeral')
    expect(problem.message).toContain(`${STATE_PATH} is a tmpfs`)
    expect(problem.hint).toContain('--state')
    const status = await untilStage(host, 'blocked')
    expect(status.cluster.id).toBeNull()
    expect(status.waitingFor.join()).toContain('a person')
  })

  it('with a damaged state blocks the node; the file is kept, and the datastore is not touched', {
    timeout: 2 * PATIENCE_MS,
  }, async () => {
    const host = await newHost()
    const upArguments = cluster.upWith('etcd', { distribution: 'etcd' })
    await host.startDaemon({ upArguments })
    const view = await untilReady([host])
    const address = view.get(host.index)?.self.address ?? ''
    await keys.put(host, [address], 'kept', 'through the damage')
    await host.stop()
    const directory = host.place.stateDirectory
    const bytes = readFileSync(join(directory, 'state'))
    bytes.writeUInt8(bytes.readUInt8(100) ^ 1, 100)
    writeFileSync(join(directory, 'state'), bytes)
    const etcd = await host.processes('etcd')

    for (const time of ['at the first start', 'at the second']) {
      await host.startDaemon({ upArguments })
      const problem = await untilProblem(host, 'state.damaged')
      const [kept] = readdirSync(directory).filter((name) => name.startsWith('state.damaged-'))
      expect(problem.message, time).toContain(`${STATE_PATH}/${kept}`)
      expect(problem.hint, time).toContain('muster reset')
      expect(readFileSync(join(directory, kept ?? ''))).toEqual(bytes)
      const status = await untilStage(host, 'blocked')
      expect(status.cluster.id).toBeNull()
      await host.stop()
    }
    expect(await host.processes('etcd')).toEqual(etcd)
    expect(await keys.get(host, [address], 'kept')).toBe('through the damage')
  })

  it('of another machine blocks the node until a person adopts it', {
    timeout: 2 * PATIENCE_MS,
  }, async () => {
    const old = await newHost()
    const successor = await newHost()
    await old.startDaemon()
    const genesis = genesisOf(await untilReady([old]))
    await cluster.lab.powerOff(old)
    cpSync(old.place.stateDirectory, successor.place.stateDirectory, { recursive: true })

    await successor.startDaemon()
    const problem = await untilProblem(successor, 'state.other-machine')
    expect(problem.hint).toContain('muster adopt')
    expect(problem.hint).toContain('muster reset')
    await untilStage(successor, 'blocked')
    const { exitCode, stderr } = await successor.muster(['adopt'])
    expect(exitCode, stderr).toBe(0)
    expect(genesisOf(await untilReady([successor]))).toBe(genesis)
    expect(idOf(successor)).toBe(idOf(old))
    const again = await successor.muster(['adopt'])
    expect(again.exitCode, again.stderr).toBe(1)
  })

  it('of a daemon that runs is not taken by a second one', async () => {
    const host = await newHost()
    await host.startDaemon()
    await untilReady([host])
    const { exitCode, stderr } = await host.up({
      upArguments: ['--config', CONFIG_PATH, '--state', STATE_PATH, '--socket', '/run/second.sock'],
    })
    expect(exitCode, stderr).toBe(1)
    expect(stderr).toContain('in use by another muster')
    await untilStage(host, 'ready')
  })
})

/** Takes all the room that is left in the state directory. */
async function fill(host: Host): Promise<void> {
  await sh(host, `! dd if=/dev/zero of=${STATE_PATH}/filler bs=1k 2>/dev/null`)
}

/** Ends the program that was started with this word; not the command that looks for it, which holds it too. */
async function end(host: Host, word: string): Promise<void> {
  const { exitCode } = await host.exec(['pkill', '-f', `[${word.slice(0, 1)}]${word.slice(1)}`])
  expect(exitCode).toBe(0)
}

describe('a port that another program has', () => {
  it('for TCP ends the start with 1, and names it', async () => {
    const host = await newHost()
    host.spawn([process.execPath, '-e', `require('net').createServer().listen(7946)`])
    await until('it listens', async () => (await sh(host, 'ss -ltn')).includes(':7946'))
    const { exitCode, stderr } = await host.up()
    expect(exitCode, stderr).toBe(1)
    expect(stderr).toContain('TCP port 7946 is taken by another program')
    expect(stderr).toMatch(/hint: .*ss -ltnp/)
    await end(host, 'createServer')
    await until('it is free', async () => !(await sh(host, 'ss -ltn')).includes(':7946'))
    await host.startDaemon()
    await untilReady([host])
  })

  it('for UDP is a problem that goes with its cause', { timeout: 2 * PATIENCE_MS }, async () => {
    const host = await newHost()
    host.spawn([process.execPath, '-e', `require('dgram').createSocket('udp4').bind(51871)`])
    await until('it is bound', async () => (await sh(host, 'ss -lun')).includes(':51871'))
    await host.startDaemon()
    const problem = await untilProblem(host, 'mesh.port-taken')
    expect(problem.message).toContain('UDP port 51871')
    expect(problem.hint).toContain('ss -ulpn')
    await untilStage(host, 'meshing')
    await end(host, 'createSocket')
    await untilReady([host])
    expect((await host.status())?.problems.map((each) => each.code)).not.toContain('mesh.port-taken')
  })
})

describe('a program that is missing', () => {
  const TOOLS = ['nsenter', 'sh', 'ip', 'wg', 'wireguard-go', 'flock']
  const DIRECTORIES = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']

  /** A directory with all tools but one, as the machine's only one. A kernel with WireGuard hides that it has. */
  function pathWithout(missing: string): string {
    const directory = join(cluster.lab.directory, `without-${missing}`)
    mkdirSync(directory)
    for (const tool of TOOLS) if (tool !== missing) add(directory, tool)
    return directory
  }

  function add(directory: string, tool: string): void {
    const found = DIRECTORIES.map((each) => join(each, tool)).find((path) => existsSync(path))
    if (found === undefined) throw new Error(`${tool} is not installed`)
    if (tool !== 'ip') {
      symlinkSync(found, join(directory, tool))
      return
    }
    const refuse = `case "$*" in *"type wireguard"*) echo "Error: Unknown device type." >&2; exit 2 ;; esac`
    writeFileSync(join(directory, tool), `#!/bin/sh\n${refuse}\nexec ${found} "$@"\n`)
    chmodSync(join(directory, tool), 0o755)
  }

  it.for([
    { tool: 'wg', code: 'mesh.no-wg', hint: 'install wireguard-tools' },
    { tool: 'wireguard-go', code: 'mesh.no-wireguard', hint: 'install wireguard-go' },
  ])(
    '$tool is a problem that says what to install; then the node goes on by itself',
    {
      timeout: 3 * PATIENCE_MS,
    },
    async ({ tool, code, hint }) => {
      const host = await newHost()
      const directory = pathWithout(tool)
      await host.startDaemon({ env: { PATH: directory } })
      const problem = await untilProblem(host, code)
      expect(problem).toMatchObject({ severity: 'error', message: expect.stringContaining(tool) })
      expect(problem.hint).toContain(hint)
      add(directory, tool)
      await untilReady([host])
    },
  )

  it('etcd likewise', { timeout: 3 * PATIENCE_MS }, async () => {
    const host = await newHost()
    // It is looked for at one place only: there, everything else stays.
    const cover = [
      'mkdir /run/programs && mount --bind /usr/bin /run/programs',
      'mount -t tmpfs tmpfs /usr/bin && /run/programs/cp --recursive --symbolic-link /run/programs/. /usr/bin',
      'rm /usr/bin/etcd',
    ]
    await sh(host, cover.join(' && '))
    await host.startDaemon({ upArguments: cluster.upWith('etcd', { distribution: 'etcd' }) })
    const problem = await untilProblem(host, 'datastore.no-etcd')
    expect(problem).toMatchObject({ severity: 'error', message: expect.stringContaining('/usr/bin/etcd') })
    expect(problem.hint).toContain('apt-get install etcd-server')
    await sh(host, 'ln -s /run/programs/etcd /usr/bin/etcd')
    await untilReady([host])
  })
})

it('a mesh range that the LAN uses is a problem that names both; no interface is made', async () => {
  const host = await newHost()
  const upArguments = cluster.upWith('overlap', { vpn: { cidr: '10.77.0.0/16' } })
  await host.startDaemon({ upArguments })
  const problem = await untilProblem(host, 'mesh.range-overlap')
  expect(problem.message).toContain('10.77.0.0/16 overlaps the local route 10.77.0.0/16 through eth0')
  expect(problem.hint).toContain('vpn.cidr')
  expect((await viewOf([host])).get(host.index)?.self.stage).toBe('meshing')
  expect(await sh(host, 'ls /sys/class/net')).not.toContain('muster0')
})
