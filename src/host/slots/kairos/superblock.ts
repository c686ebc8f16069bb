/**
 * What an ext2/3/4 image says of itself: label and UUID, in its superblock at byte 1,024 (Linux: fs/ext4/ext4.h).
 * The label says to initramfs which slot it is. The UUID says which image it is: muster sets it to the beginning of
 * the image's digest, so that a file's identity moves with the file, in the same rename.
 */
import { open } from 'node:fs/promises'

export interface Superblock {
  readonly label: string
  /** Lower case, 8-4-4-4-12. */
  readonly uuid: string
}

const SUPERBLOCK_AT = 1_024
const MAGIC_AT = 0x38
const MAGIC = 0xef53
const UUID_AT = 0x68
const LABEL_AT = 0x78
const LABEL_BYTES = 16
const LENGTH = LABEL_AT + LABEL_BYTES

/** Null where the file is missing, too short, or no ext file system. */
export async function readSuperblock(path: string): Promise<Superblock | null> {
  const bytes = await readAt(path, SUPERBLOCK_AT, LENGTH)
  return bytes === null ? null : parseSuperblock(bytes)
}

export function parseSuperblock(bytes: Uint8Array): Superblock | null {
  const view = Buffer.from(bytes)
  if (view.length < LENGTH || view.readUInt16LE(MAGIC_AT) !== MAGIC) return null
  const label = view.subarray(LABEL_AT, LABEL_AT + LABEL_BYTES).toString('latin1')
  return {
    label: label.replace(/\0[\s\S]*$/, ''),
    uuid: uuidText(view.subarray(UUID_AT, UUID_AT + 16).toString('hex')),
  }
}

/** @param digest SHA-256, hexadecimal: its first half names the image. */
export const uuidOfDigest = (digest: string): string => uuidText(digest.slice(0, 32))

const uuidText = (hex: string): string =>
  [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-')

async function readAt(path: string, position: number, length: number): Promise<Uint8Array | null> {
  let file: Awaited<ReturnType<typeof open>>
  try {
    file = await open(path, 'r')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, position)
    return bytesRead < length ? null : buffer
  } finally {
    await file.close()
  }
}
