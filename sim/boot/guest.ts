/**
 * The program in the machine: muster's own engine on the real partitions, driven over a serial line, one JSON
 * document per line. Before each step of an upgrade it says which, and waits: the other side lets it go on, or cuts
 * the power.
 */
import { execFileSync } from 'node:child_process'
import { closeSync, createReadStream, openSync, readFileSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { type SlotDisk, slotDisk } from '../../src/host/slots/kairos/disk.ts'
import { KairosSlots } from '../../src/host/slots/kairos/engine.ts'
import { layoutOf } from '../../src/host/slots/kairos/layout.ts'
import { readBooted } from '../../src/host/slots/kairos/machine.ts'
import { type Order, orderSchema, type Word } from './serial.ts'

const LINE = '/dev/ttyS1'
const output = openSync(LINE, 'w')
const say = (word: Word): void => {
  writeSync(output, `${JSON.stringify(word)}\n`)
}

const layout = layoutOf({ state: '/run/initramfs/cos-state', oem: '/oem', recovery: '/run/cos/recovery' })
const lines = createInterface({ input: createReadStream(LINE) })[Symbol.asyncIterator]()

async function nextOrder(): Promise<Order> {
  const { value, done } = await lines.next()
  if (done === true) throw new Error('the serial line has ended')
  return orderSchema.parse(JSON.parse(value))
}

let isStepwise = false

/** Every step waits for its "go", where that was asked for. */
function stepwise(disk: SlotDisk): SlotDisk {
  const step = async <T>(name: string, act: () => Promise<T>): Promise<T> => {
    if (isStepwise) {
      say({ kind: 'step', name })
      const order = await nextOrder()
      if (order.verb !== 'go') throw new Error(`at a step only "go" is known, not ${order.verb}`)
    }
    return act()
  }
  return {
    ...disk,
    write: (path, content) => step(`write ${path}`, () => disk.write(path, content)),
    remove: (path) => step(`remove ${path}`, () => disk.remove(path)),
    move: (from, to) => step(`move ${from} ${to}`, () => disk.move(from, to)),
    copy: (from, to) => step(`copy ${from} ${to}`, () => disk.copy(from, to)),
    seal: (path, as) => step(`seal ${path} ${as.label}`, () => disk.seal(path, as)),
  }
}

const engine = new KairosSlots({
  layout,
  disk: stepwise(slotDisk({ mountPoint: layout.state })),
  booted: () => readBooted('/'),
})

async function carryOut(order: Order): Promise<void> {
  switch (order.verb) {
    case 'status':
      return
    case 'stage':
      isStepwise = order.stepwise
      return engine.stage({ ...order.image, path: `/usr/local/images/${order.image.version}.img` })
    case 'arm':
      isStepwise = order.stepwise
      return engine.arm(order)
    case 'confirm':
      return engine.confirm(order.attempt)
    case 'rollback':
      return engine.rollback(order.attempt, order.reason)
    case 'spoil': {
      // By a person or a failing disk: not a step of muster's.
      execFileSync('mount', ['-o', 'remount,rw', layout.state])
      const file = openSync(layout[order.slot], 'r+')
      writeSync(file, new Uint8Array(64 * 1024))
      closeSync(file)
      execFileSync('mount', ['-o', 'remount,ro', layout.state])
      return
    }
    case 'reboot':
      execFileSync('sync')
      execFileSync('reboot', ['-f'])
      return
    case 'go':
      throw new Error('there is no step to go on with')
  }
}

await engine.begin()
say({ kind: 'up', version: readFileSync('/version', 'utf8').trim(), status: await engine.status() })
for (;;) {
  const order = await nextOrder()
  try {
    await carryOut(order)
    isStepwise = false
    say({ kind: 'done', status: await engine.status() })
  } catch (error) {
    isStepwise = false
    say({ kind: 'failed', message: error instanceof Error ? (error.stack ?? error.message) : String(error) })
  }
}
