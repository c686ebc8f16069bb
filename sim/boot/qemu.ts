/**
 * One machine in QEMU, by emulation alone (no KVM): its power, its console, and the serial line to the program in it.
 * Its disk is a layer over a common one, so that every test has a new disk at once; a machine that has booted can be
 * remembered whole, and be gone on with as often as wanted.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { execa } from 'execa'
import { type Order, type Word, wordSchema } from './serial.ts'

const MEMORY_MIB = 512
/** A boot takes 8 s on a quiet core; one that falls back takes three of them. */
const BOOT_MS = 180_000
const REMEMBERED = 'booted'

export class QemuMachine implements AsyncDisposable {
  readonly #directory: string
  readonly #disk: string
  #process: ChildProcess | null = null
  #line: Socket | null = null
  #words: AsyncIterator<string> | null = null
  boots = 0

  private constructor(directory: string, disk: string) {
    this.#directory = directory
    this.#disk = disk
  }

  /** @param base a raw disk image, or another machine's layer: it is only read. */
  static async on(directory: string, base: string, format: 'raw' | 'qcow2' = 'raw'): Promise<QemuMachine> {
    const own = mkdtempSync(join(directory, 'machine-'))
    const disk = join(own, 'disk.qcow2')
    await execa('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', format, '-b', base, disk])
    return new QemuMachine(own, disk)
  }

  /** A machine that goes on where this one was remembered; this one must be off. */
  async copy(): Promise<QemuMachine> {
    const own = mkdtempSync(join(this.#directory, '../machine-'))
    const disk = join(own, 'disk.qcow2')
    await execa('cp', ['--reflink=auto', this.#disk, disk])
    return new QemuMachine(own, disk)
  }

  get console(): string {
    const path = join(this.#directory, 'console.log')
    return existsSync(path) ? readFileSync(path, 'utf8') : ''
  }

  /** Power on. @returns what the program in it first says. */
  async boot(): Promise<Extract<Word, { kind: 'up' }>> {
    await this.#start([])
    return this.up()
  }

  /** As it was when it was remembered. */
  async goOn(): Promise<void> {
    await this.#start(['-loadvm', REMEMBERED])
  }

  /** Power on, and off again as soon as the kernel gives over to its first process. */
  async bootHalfway(): Promise<void> {
    const before = this.console.length
    await this.#start([])
    while (!this.console.slice(before).includes('Run /init')) await setTimeout(20)
    await this.cutPower()
  }

  /** Waits until the machine is up, however often it boots until then. */
  async up(): Promise<Extract<Word, { kind: 'up' }>> {
    const word = await this.#hear()
    if (word.kind !== 'up') throw new Error(`instead of coming up it says ${JSON.stringify(word)}`)
    return word
  }

  async ask(order: Order): Promise<Word> {
    this.#say(order)
    return this.#hear()
  }

  /** Carries the order out. @throws where it fails. */
  async order(order: Order): Promise<Extract<Word, { kind: 'done' }>['status']> {
    const word = await this.ask(order)
    if (word.kind !== 'done') throw new Error(`${order.verb}: ${JSON.stringify(word)}`)
    return word.status
  }

  async reboot(): Promise<Extract<Word, { kind: 'up' }>> {
    this.#say({ verb: 'reboot' })
    return this.up()
  }

  /** Remembers memory and disk, and switches off. */
  async remember(): Promise<void> {
    const monitor = connect(join(this.#directory, 'monitor'))
    const lines = createInterface({ input: monitor })[Symbol.asyncIterator]()
    const ask = async (command: object): Promise<void> => {
      monitor.write(`${JSON.stringify(command)}\n`)
      for (;;) {
        const { value, done } = await lines.next()
        if (done === true) throw new Error('QEMU’s monitor has ended')
        const answer: unknown = JSON.parse(value)
        if (typeof answer !== 'object' || answer === null) continue
        if ('error' in answer) throw new Error(value)
        if ('return' in answer) return
      }
    }
    await ask({ execute: 'qmp_capabilities' })
    await ask({ execute: 'human-monitor-command', arguments: { 'command-line': `savevm ${REMEMBERED}` } })
    monitor.destroy()
    await this.cutPower()
  }

  /** At once, whatever it is doing: what the guest had not yet given to its disk is lost. */
  async cutPower(): Promise<void> {
    const process = this.#process
    this.#process = null
    this.#line?.destroy()
    this.#line = null
    if (process === null) return
    if (process.exitCode !== null || process.signalCode !== null) return
    const ended = once(process, 'exit')
    process.kill('SIGKILL')
    await ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cutPower()
    rmSync(this.#directory, { recursive: true, force: true })
  }

  async #start(more: readonly string[]): Promise<void> {
    this.boots += 1
    const at = (name: string): string => join(this.#directory, name)
    rmSync(at('line'), { force: true })
    rmSync(at('monitor'), { force: true })
    const messages = openSync(at('console.log'), 'a')
    const process = spawn(
      'qemu-system-x86_64',
      [
        ...['-accel', 'tcg', '-cpu', 'max', '-m', String(MEMORY_MIB), '-display', 'none', '-nodefaults'],
        ...['-drive', `file=${this.#disk},format=qcow2,if=virtio`],
        ...['-chardev', `file,id=console,path=${at('console.log')},append=on`, '-serial', 'chardev:console'],
        ...['-chardev', `socket,id=line,path=${at('line')},server=on,wait=off`, '-serial', 'chardev:line'],
        ...['-qmp', `unix:${at('monitor')},server=on,wait=off`],
        ...more,
      ],
      { stdio: ['ignore', messages, messages] },
    )
    closeSync(messages)
    this.#process = process
    const socket = await this.#connect(at('line'), process)
    this.#line = socket
    this.#words = createInterface({ input: socket })[Symbol.asyncIterator]()
  }

  async #connect(path: string, process: ChildProcess): Promise<Socket> {
    for (;;) {
      const socket = await new Promise<Socket | null>((resolve) => {
        const tried = connect(path)
        tried.once('connect', () => resolve(tried))
        tried.once('error', () => resolve(null))
      })
      if (socket !== null) return socket
      if (process.exitCode !== null) throw new Error('QEMU does not start')
      await setTimeout(20)
    }
  }

  #say(order: Order): void {
    this.#line?.write(`${JSON.stringify(order)}\n`)
  }

  /** Other lines, such as what a kernel without a console says, are no words. */
  async #hear(): Promise<Word> {
    const words = this.#words
    if (words === null) throw new Error('the machine is off')
    const late = setTimeout(BOOT_MS, null, { ref: false })
    for (;;) {
      const next = await Promise.race([words.next(), late])
      if (next === null) throw new Error(`no word in ${BOOT_MS} ms; console:\n${this.console.slice(-3_000)}`)
      const { value, done } = next
      if (done === true) throw new Error(`the machine went off; console:\n${this.console.slice(-3_000)}`)
      if (!value.startsWith('{')) continue
      return wordSchema.parse(JSON.parse(value))
    }
  }
}
