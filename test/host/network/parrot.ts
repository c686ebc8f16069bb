/**
 * A machine of the LAN that hears what others say by mDNS and says it again, broken: bits turned, ends cut off,
 * lengths changed. Started with the service to ask for and the number of packets to send; ends by itself.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'

const GROUP = '224.0.0.251'
const PORT = 5353
const [service = '', address = '', count = '0'] = process.argv.slice(2)

const socket = createSocket({ type: 'udp4', reuseAddr: true })
socket.bind(PORT)
await once(socket, 'listening')
socket.addMembership(GROUP, address)
socket.setMulticastInterface(address)

const send = (packet: Uint8Array): Promise<void> =>
  new Promise((resolve) => socket.send(packet, PORT, GROUP, () => resolve()))

/** RFC 1035 §4.1: one question, PTR, class IN. */
function question(name: string): Uint8Array {
  const labels = name.split('.').flatMap((label) => [label.length, ...Buffer.from(label)])
  return Uint8Array.from([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...labels, 0, 0, 12, 0, 1])
}

/** The same sequence in every run (Numerical Recipes' generator). */
let state = 1
const random = (below: number): number => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
  return Math.floor((state / 2 ** 32) * below)
}

function broken(packet: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(packet)
  for (let turns = 1 + random(8); turns > 0; turns--) {
    const at = random(copy.length)
    copy[at] = random(3) === 0 ? random(256) : (copy[at] ?? 0) ^ (1 << random(8))
  }
  return random(4) === 0 ? copy.subarray(0, random(copy.length)) : copy
}

const heard: Uint8Array[] = []
const enough = new Promise<void>((resolve) => {
  socket.on('message', (packet) => {
    // An answer: the first bit of the flags.
    if (((packet[2] ?? 0) & 0x80) === 0 || heard.length >= 3) return
    heard.push(packet)
    if (heard.length === 3) resolve()
  })
})
await send(question(service))
await enough
for (let i = 0; i < Number(count); i++) await send(broken(heard[i % heard.length] ?? new Uint8Array()))
socket.close()
process.stdout.write(`${heard.length}`)
