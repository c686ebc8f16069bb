/** The lab itself, without muster: what the scenarios rest on. */
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Host } from '../../sim/lab/host.ts'
import { createLab, type Lab } from '../../sim/lab/lab.ts'
import { DISK_PATH, SHARED_PATH } from '../../sim/lab/machine.ts'
import type { Program } from '../../sim/lab/program.ts'
import { cleanStale } from '../../sim/lab/registry.ts'
import { until } from '../../sim/lab/until.ts'

/** Stands for muster where only the lab is looked at: answers no one, ends on SIGTERM. */
const IDLE: Program = { argv: ['sh', '-c', 'exec sleep 1000'], bundle: null }

async function text(host: Host, ...argv: string[]): Promise<string> {
  const { stdout, stderr, exitCode } = await host.exec(argv)
  expect(exitCode, stderr).toBe(0)
  return stdout.trim()
}

async function reaches(from: Host, to: Host): Promise<boolean> {
  return (await from.exec(['ping', '-c1', '-W1', to.address])).exitCode === 0
}

describe('a lab', () => {
  let lab: Lab
  let one: Host
  let two: Host
  let three: Host

  beforeAll(async () => {
    lab = await createLab({ name: 'self', hosts: 3, config: 'the same for all\n', program: IDLE })
    const [first, second, third] = lab.hosts
    if (first === undefined || second === undefined || third === undefined) throw new Error('too few hosts')
    one = first
    two = second
    three = third
  })
  afterAll(() => lab.destroy())
  afterEach(() => lab.heal())

  it('makes machines that differ in everything that a machine is known by', async () => {
    for (const file of ['/etc/hostname', '/etc/machine-id', '/proc/sys/kernel/random/boot_id']) {
      const seen = await Promise.all(lab.hosts.map((host) => text(host, 'cat', file)))
      expect(new Set([...seen, readFileSync(file, 'utf8').trim()]).size, file).toBe(4)
    }
    expect(await Promise.all(lab.hosts.map((host) => text(host, 'hostname')))).toEqual([
      'node-1',
      'node-2',
      'node-3',
    ])
  })

  it('gives every machine byte-identical configuration at one path, that it cannot change', async () => {
    const path = `${SHARED_PATH}/muster.yaml`
    for (const host of lab.hosts) {
      expect(await text(host, 'cat', path)).toBe('the same for all')
      expect((await host.exec(['sh', '-c', `echo x > ${path}`])).exitCode).not.toBe(0)
    }
  })

  it('shows a machine only its own processes, interfaces and sockets', async () => {
    expect((await text(one, 'ls', '/sys/class/net')).split(/\s+/)).toEqual(['eth0', 'lo'])
    await text(one, 'touch', '/run/only-here')
    expect((await two.exec(['ls', '/run/only-here'])).exitCode).not.toBe(0)
    expect(existsSync('/run/only-here')).toBe(false)
    expect((await text(one, 'sh', '-c', 'ls -d /proc/[0-9]* | wc -l')).length).toBe(1)
  })

  it('connects all, and multicast has a route', async () => {
    expect(await reaches(one, two)).toBe(true)
    expect(await reaches(three, two)).toBe(true)
    expect(await text(one, 'ip', 'route', 'get', '224.0.0.251')).toContain('eth0')
  })

  it('cuts groups from each other, and heals', async () => {
    await lab.cut([one], [two, three])
    expect(await Promise.all([reaches(one, two), reaches(three, one), reaches(two, three)])).toEqual([
      false,
      false,
      true,
    ])
    await lab.heal()
    expect(await reaches(one, two)).toBe(true)
  })

  it('cuts established connections, too, without telling either end', async () => {
    const file = `${DISK_PATH}/heard`
    const server = `require('net').createServer(s => s.pipe(require('fs').createWriteStream('${file}'))).listen(7000)`
    const client = `const s = require('net').connect(7000, '${two.address}'); setInterval(() => s.write('x'), 20)`
    const heard = async (): Promise<number> =>
      Number((await two.exec(['sh', '-c', `wc -c < ${file}`])).stdout || 0)
    two.spawn([process.execPath, '-e', server])
    await until('the server listens', async () => (await text(two, 'ss', '-ltn')).includes(':7000'))
    one.spawn([process.execPath, '-e', client])
    await until('bytes arrive', async () => (await heard()) > 3)
    await lab.cut([one], [two, three])
    const before = await heard()
    expect(await reaches(one, two)).toBe(false)
    expect(await heard()).toBeLessThan(before + 3)
    await lab.heal()
    await until('bytes arrive again', async () => (await heard()) > before + 10)
  })

  it('cuts one way', async () => {
    await lab.cutOneWay(one, two)
    const before = two.bytes()?.received ?? 0
    two.spawn(['ping', '-c1', '-W1', one.address])
    expect(await reaches(one, two)).toBe(false)
    expect((two.bytes()?.received ?? 0) - before).toBeLessThan(400)
    expect(await reaches(one, three)).toBe(true)
  })

  it('starts, pauses, resumes and kills a daemon', async () => {
    await one.startDaemon()
    const pid = one.daemonPid
    const state = (): string => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0] ?? ''
    // A process exists before it has become the program that it is to be.
    await until('it runs', () => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('sleep'))
    one.pause()
    await until('it is stopped', () => state() === 'T')
    one.resume()
    await until('it sleeps', () => state() === 'S')
    await one.kill9()
    expect(one.running).toBe(false)
    expect(existsSync(`/proc/${pid}`)).toBe(false)
  })

  it('powers a machine off and on: the disk and the identity stay, the rest is new', async () => {
    const facts = (): Promise<string[]> =>
      Promise.all(
        ['/etc/machine-id', '/proc/sys/kernel/random/boot_id'].map((file) => text(two, 'cat', file)),
      )
    await text(two, 'sh', '-c', `echo kept > ${DISK_PATH}/file; touch /run/gone`)
    const [machineId, bootId] = await facts()
    await lab.powerOff(two)
    expect(await reaches(one, two)).toBe(false)
    await lab.powerOn(two)
    const after = await facts()
    expect(after[0]).toBe(machineId)
    expect(after[1]).not.toBe(bootId)
    expect(await text(two, 'cat', `${DISK_PATH}/file`)).toBe('kept')
    expect((await two.exec(['ls', '/run/gone'])).exitCode).not.toBe(0)
    await until('it is on the network again', () => reaches(one, two))
  })

  it('leaves nothing', async () => {
    const other = await createLab({ name: 'leaves', hosts: 2, config: 'x\n', program: IDLE })
    const second = other.hosts[1]
    second?.spawn(['sleep', '4242'])
    await second?.startDaemon()
    await other.destroy()
    expect(existsSync(other.directory)).toBe(false)
    expect(processesWith(other.directory)).toEqual([])
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(other.directory)
  })

  it('dies with the process that made it, also by SIGKILL; its directory is found and taken away', async () => {
    const source = [
      `import { createLab } from '${join(import.meta.dirname, '../../sim/lab/lab.ts')}'`,
      `const program = { argv: ['sh', '-c', 'exec sleep 1000'], bundle: null }`,
      `const lab = await createLab({ name: 'orphan', hosts: 2, config: 'x', program })`,
      'for (const host of lab.hosts) await host.startDaemon()',
      'console.log(lab.directory)',
      'setInterval(() => {}, 1000)',
    ].join('\n')
    const owner = spawn(process.execPath, ['--input-type=module-typescript', '-e', source], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const directory = await new Promise<string>((resolve) => {
      owner.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString().trim()))
    })
    expect(processesWith(directory).length).toBeGreaterThan(1)
    expect(cleanStale('orphan')).toEqual([])
    owner.kill('SIGKILL')
    await until('its machines are gone', () => processesWith(directory).length === 0)
    expect(cleanStale('orphan')).toEqual([directory])
    expect(existsSync(directory)).toBe(false)
  })
})

/** Processes whose command line names the directory. */
function processesWith(directory: string): string[] {
  return readdirSync('/proc').filter((entry) => {
    if (!/^\d+$/.test(entry)) return false
    try {
      return readFileSync(`/proc/${entry}/cmdline`, 'utf8').includes(directory)
    } catch {
      return false
    }
  })
}
