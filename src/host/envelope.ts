/**
 * The form of muster's own files: whoever reads one knows that it is whole, whose it is and whether it can be
 * understood. Layout, the same for all versions to come, numbers big-endian:
 *
 *     magic (8 bytes) ‖ version (4) ‖ length of the body (4) ‖ SHA-256 of all of that and the body (32) ‖ body
 */
import { createHash, timingSafeEqual } from 'node:crypto'

const MAGIC_LENGTH = 8
const PREFIX_LENGTH = MAGIC_LENGTH + 8
const HEADER_LENGTH = PREFIX_LENGTH + 32
/** Sixteen times the largest plan imaginable (4,096 nodes at 1 KiB); a larger file is not ours. */
export const BODY_MAX = 64 * 1024 * 1024
export const FILE_MAX = HEADER_LENGTH + BODY_MAX

export type Opened =
  | { readonly kind: 'body'; readonly version: number; readonly body: Uint8Array }
  /** Whole, but written by a later version of muster than this one. */
  | { readonly kind: 'newer'; readonly version: number }
  | { readonly kind: 'damaged'; readonly what: string }

/** @throws RangeError where the body is above {@link BODY_MAX}. */
export function envelop(magic: string, version: number, body: Uint8Array): Uint8Array {
  if (body.length > BODY_MAX)
    throw new RangeError(`${body.length} bytes are more than a file of muster holds`)
  const prefix = Buffer.alloc(PREFIX_LENGTH)
  prefix.write(magic, 'latin1')
  prefix.writeUInt32BE(version, MAGIC_LENGTH)
  prefix.writeUInt32BE(body.length, MAGIC_LENGTH + 4)
  return Buffer.concat([prefix, checksum(prefix, body), body])
}

/** Opens a file's bytes; `version` is the newest that the caller understands. */
export function openEnvelope(magic: string, version: number, bytes: Uint8Array): Opened {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (file.length === 0) return damaged('it is empty')
  if (file.length < HEADER_LENGTH) return damaged(`it ends after ${file.length} bytes, within its header`)
  if (file.toString('latin1', 0, MAGIC_LENGTH) !== magic) return damaged('it is not a file of this kind')
  const written = file.readUInt32BE(MAGIC_LENGTH)
  const length = file.readUInt32BE(MAGIC_LENGTH + 4)
  const body = file.subarray(HEADER_LENGTH)
  if (body.length !== length) return damaged(`it should hold ${length} bytes and holds ${body.length}`)
  const prefix = file.subarray(0, PREFIX_LENGTH)
  if (!timingSafeEqual(file.subarray(PREFIX_LENGTH, HEADER_LENGTH), checksum(prefix, body))) {
    return damaged('its checksum is wrong')
  }
  if (written > version) return { kind: 'newer', version: written }
  return { kind: 'body', version: written, body }
}

const damaged = (what: string): Opened => ({ kind: 'damaged', what })

function checksum(prefix: Uint8Array, body: Uint8Array): Buffer {
  return createHash('sha256').update(prefix).update(body).digest()
}
