/**
 * An operator's key: what it is on disk, and its word on a command. The file is an Ed25519 private key as OpenSSL
 * writes it (PKCS #8, PEM), for the owner's eyes only; its public half, written as a peer ID, is what the cluster's
 * `operators` name.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign as signBytes,
} from 'node:crypto'
import { closeSync, fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { base58btc } from 'multiformats/bases/base58'
import { bytesOf } from '../core/codec.ts'
import { type Command, commandSchema, commandStatement, type SignedCommand } from '../core/commands.ts'
import { type Digest, type NodeId, nodeId } from '../core/ids.ts'
import { VerbError } from './errors.ts'

/** A PEM file of such a key has 119 bytes; more is another file. */
const FILE_BYTES_MAX = 4_096
/** Identity multihash of libp2p's protobuf {type: Ed25519, data: 32 bytes}. */
const PEER_ID_PREFIX = Buffer.from('002408011220', 'hex')
const KEY_LENGTH = 32

export interface OperatorKey {
  /** Public; what `muster.operators` names. */
  readonly operator: NodeId
  /** The operator's word on the command, given while the plan had this index. */
  sign(era: Digest, command: Command, index: number): SignedCommand
}

/** Writes a new key, which must not overwrite anything. @throws VerbError where it cannot. */
export function makeOperatorKey(file: string): OperatorKey {
  const { privateKey } = generateKeyPairSync('ed25519')
  try {
    writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, flag: 'wx' })
  } catch (error) {
    const exists = codeOf(error) === 'EEXIST'
    throw failed(
      exists ? `${file} is there already` : `${file} cannot be written (${codeOf(error)})`,
      exists ? 'name a file that does not exist: a key is never overwritten' : 'name another file',
    )
  }
  return keyOf(privateKey)
}

/** @throws VerbError for what is no such key, or a key that others can read. */
export function readOperatorKey(file: string): OperatorKey {
  let privateKey: KeyObject
  const pem = readPrivately(file)
  try {
    privateKey = createPrivateKey(pem)
  } catch {
    // What the parser says may quote the file.
    throw failed(`${file} holds no private key`, HOW)
  }
  if (privateKey.asymmetricKeyType !== 'ed25519') throw failed(`${file} is no Ed25519 key`, HOW)
  return keyOf(privateKey)
}

const HOW = 'make one with `muster operator new FILE`'

function readPrivately(file: string): Buffer {
  let fd: number
  try {
    fd = openSync(file, 'r')
  } catch (error) {
    throw failed(`${file} cannot be read (${codeOf(error)})`, HOW)
  }
  try {
    const stat = fstatSync(fd)
    if (!stat.isFile() || stat.size > FILE_BYTES_MAX) throw failed(`${file} is no file with a key`, HOW)
    if ((stat.mode & 0o077) !== 0) throw failed(`${file} can be read by others`, `chmod 600 ${file}`)
    return readFileSync(fd)
  } finally {
    closeSync(fd)
  }
}

function keyOf(privateKey: KeyObject): OperatorKey {
  const raw = createPublicKey(privateKey).export({ type: 'spki', format: 'der' }).subarray(-KEY_LENGTH)
  // Multibase's first letter is no part of a peer ID.
  const operator = nodeId(base58btc.encode(Buffer.concat([PEER_ID_PREFIX, raw])).slice(1))
  return {
    operator,
    sign: (era, command, index) => {
      // As it arrives: what is signed is what the daemon reads out of the request.
      const arriving = commandSchema.parse(JSON.parse(JSON.stringify(command)))
      const bytes = bytesOf(commandStatement(era, arriving, index))
      return { operator, index, signature: new Uint8Array(signBytes(null, bytes, privateKey)) }
    },
  }
}

const failed = (message: string, hint: string): VerbError =>
  new VerbError('MUSTER_E_OPERATOR_KEY', message, hint)

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : 'unknown reason'
