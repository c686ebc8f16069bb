/**
 * Who this node is: three keys made at random on the first start and never again. An identity that is lost or
 * damaged is not made anew behind anyone's back: the node would be a stranger with the old one's disk.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { z } from 'zod'
import { decode, encode } from '../core/codec.ts'
import { type NodeId, nodeId } from '../core/ids.ts'
import { keySchema } from '../core/record.ts'
import { Secret } from '../core/secret.ts'
import { x25519PublicKey } from './crypto.ts'
import { writeDurably } from './durable-file.ts'
import { envelop, openEnvelope } from './envelope.ts'
import { wireguardKeys, wireguardPublicKey } from './mesh/keys.ts'
import { IDENTITY_FILE, readIfThere, type Store } from './store.ts'
import { StoreError, storeErrorOf } from './store-errors.ts'

export interface KeyPair {
  /** 32 bytes. */
  readonly publicKey: Uint8Array
  /** 32 bytes. */
  readonly privateKey: Secret<Uint8Array>
}

export interface Identity {
  /** The peer ID of the Ed25519 key. */
  readonly id: NodeId
  /** The Ed25519 key as libp2p takes it. */
  readonly privateKeyProtobuf: Secret<Uint8Array>
  /** X25519: what others seal secrets to. */
  readonly sealKey: KeyPair
  /** X25519, the private key clamped as `wg genkey` does. */
  readonly wireguard: KeyPair
}

const MAGIC = 'MUSTERID'
const VERSION = 1

const documentSchema = z.strictObject({
  /** libp2p's protobuf of the Ed25519 private key. */
  ed25519: z.custom<Uint8Array>((value) => value instanceof Uint8Array && value.length <= 128, 'bytes'),
  seal: keySchema,
  wireguard: keySchema,
})
type Document = z.infer<typeof documentSchema>

/**
 * The identity in the opened state directory. It is made, and is on the disk before this resolves, only where
 * nothing was ever saved beside it.
 * @throws StoreError MUSTER_E_IDENTITY_DAMAGED where it is missing or damaged; the file is left as it is.
 */
export async function loadOrCreateIdentity(
  store: Pick<Store<unknown>, 'directory' | 'load'>,
): Promise<Identity> {
  const path = join(store.directory, IDENTITY_FILE)
  let bytes: Uint8Array | 'too-large' | null
  try {
    bytes = await readIfThere(path)
  } catch (error) {
    throw storeErrorOf(error, `cannot read the identity ${path}`)
  }
  if (bytes === 'too-large') throw damagedIdentity(path, 'it is larger than any identity')
  if (bytes !== null) return identityOf(parseDocument(path, bytes))
  if (store.load().kind !== 'fresh')
    throw damagedIdentity(path, 'it is missing, although the node has a state')

  const document = await createDocument()
  try {
    await writeDurably(path, envelop(MAGIC, VERSION, encode(document)))
  } catch (error) {
    throw storeErrorOf(error, `cannot save the identity to ${path}`)
  }
  return identityOf(document)
}

async function createDocument(): Promise<Document> {
  return {
    ed25519: privateKeyToProtobuf(await generateKeyPair('Ed25519')),
    seal: new Uint8Array(randomBytes(32)),
    wireguard: wireguardKeys(randomBytes(32)).privateKey,
  }
}

function parseDocument(path: string, bytes: Uint8Array): Document {
  const opened = openEnvelope(MAGIC, VERSION, bytes)
  if (opened.kind === 'newer') {
    throw new StoreError(
      'MUSTER_E_STATE_NEWER',
      `${path} has version ${opened.version}; this muster knows versions up to ${VERSION}, and leaves it as it is`,
      'start the newer muster that wrote it',
    )
  }
  if (opened.kind === 'damaged') throw damagedIdentity(path, opened.what)
  try {
    const document = documentSchema.parse(decode(opened.body))
    if (privateKeyFromProtobuf(document.ed25519).type !== 'Ed25519') throw new Error('another type of key')
    return document
  } catch (error) {
    // What the parsers say may quote the bytes, and these are secret.
    throw damagedIdentity(path, 'it is whole, but not what muster writes', { cause: nameOf(error) })
  }
}

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : typeof error)

function identityOf(document: Document): Identity {
  return {
    id: nodeId(peerIdFromPrivateKey(privateKeyFromProtobuf(document.ed25519)).toString()),
    privateKeyProtobuf: new Secret(document.ed25519),
    sealKey: { publicKey: x25519PublicKey(document.seal), privateKey: new Secret(document.seal) },
    wireguard: {
      publicKey: wireguardPublicKey(document.wireguard),
      privateKey: new Secret(document.wireguard),
    },
  }
}

const damagedIdentity = (path: string, what: string, options?: ErrorOptions): StoreError =>
  new StoreError(
    'MUSTER_E_IDENTITY_DAMAGED',
    `the identity ${path} cannot be used: ${what}`,
    'put the file back as it was, or make this a new node with `muster reset`',
    {},
    options,
  )
