/**
 * A machine of the lab that holds the token and lies: the real network, the real protocol, a real key of its
 * own, and nothing true. Runs until it is ended. What it does is seen by those whom it does it to.
 *
 *     node sim/lab/hostile/liar.ts --token FILE --directory DIR --peers IP,IP…
 */
import { mkdirSync, readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { type NodeId, term } from '../../../src/core/ids.ts'
import { encodeLeaderRecord, leaderRecordKey } from '../../../src/core/leader-record.ts'
import { decodeMessage, encodeMessage, type Message } from '../../../src/core/protocol.ts'
import { deriveKeys, parseToken } from '../../../src/core/token.ts'
import { createCrypto } from '../../../src/host/crypto.ts'
import { loadOrCreateIdentity } from '../../../src/host/identity.ts'
import { type Network, startNetwork } from '../../../src/host/network/network.ts'
import { randomFrom } from '../../random.ts'
import { breakFrames } from './frames.ts'
import { answerTo, createLies, type Knowledge, learn } from './lies.ts'

/** Between two lies to each peer: far below the rate at which a peer is taken to flood. */
const EVERY_MS = 50
/** Between two attacks by identities that are then kept out. */
const FRAMES_EVERY_MS = 2_000

const { values } = parseArgs({
  options: { token: { type: 'string' }, directory: { type: 'string' }, peers: { type: 'string' } },
  strict: true,
})
const { token: tokenFile, directory, peers = '' } = values
if (tokenFile === undefined || directory === undefined) throw new Error('--token and --directory are needed')

const token = parseToken(readFileSync(tokenFile, 'utf8'))
const { psk, mdnsTag, networkId } = deriveKeys(token)
mkdirSync(directory, { recursive: true })
const identity = await loadOrCreateIdentity({ directory, load: () => ({ kind: 'fresh' }) })
const keys = {
  id: identity.id,
  crypto: createCrypto(identity),
  sealKey: identity.sealKey.publicKey,
  wireguardKey: identity.wireguard.publicKey,
}
const random = randomFrom(1, 'liar')
const known: Knowledge = {
  peers: new Set(),
  era: null,
  term: 0,
  plan: null,
  networkId,
  expect: token.expect ?? 3,
}

const send = (to: NodeId, message: Message): void => network.send(to, encodeMessage(message))

const network: Network = await startNetwork({
  privateKey: identity.privateKeyProtobuf.reveal(),
  psk: psk.reveal(),
  mdnsTag,
  listen: ['0.0.0.0'],
  peers: peers.split(',').filter((peer) => peer !== ''),
  remembered: [],
  mdns: true,
  dht: true,
  excludedCidr: null,
  // What it answers to those who look something up is checked by nobody here.
  rules: { fault: () => null, newest: () => 0 },
  onMessage: (from, bytes) => {
    const message = decodeMessage(bytes)
    learn(known, message)
    for (const answer of answerTo(keys, random, known, message)) send(from, answer)
  },
  onConnected: (peer) => known.peers.add(peer),
  onDisconnected: () => undefined,
  onAddresses: () => undefined,
  log: (level, event, fields) => {
    if (level !== 'debug') process.stderr.write(`${event} ${JSON.stringify(fields)}\n`)
  },
  count: () => undefined,
})

const lies = createLies(keys, random, known)
let turn = 0
setInterval(() => {
  const lie = lies[turn++ % lies.length]
  for (const peer of network.connected()) {
    if (lie !== undefined) send(peer, lie(peer))
    // Bytes that are no message at all.
    if (turn % lies.length === 0) network.send(peer, Buffer.from(`${random.word()} is no message`))
  }
  if (turn % lies.length === 1) publishLeadership()
}, EVERY_MS)

/** A term that it never won, with everyone's vote in its own handwriting. */
function publishLeadership(): void {
  const { era, term: won, peers: all } = known
  if (era === null) return
  const votes = [...all]
    .slice(0, 7)
    .map((node) => ({ node, signature: keys.crypto.sign(Buffer.from('vote')) }))
  const addresses = network.addresses().map(String)
  const record = { era, term: term(won + 9), leader: keys.id, addresses, votes, chain: [] }
  if (votes.length > 0) network.publish(leaderRecordKey(era), encodeLeaderRecord(record))
}

setInterval(() => {
  for (const peer of peers.split(',')) {
    breakFrames(peer, psk.reveal()).catch((error: unknown) => process.stderr.write(`frames: ${error}\n`))
  }
}, FRAMES_EVERY_MS)
process.stderr.write(`lying as ${keys.id}\n`)
