/**
 * Protocol buffers as they are on the wire, as little of it as etcd's few messages need
 * (protobuf.dev/programming-guides/encoding): numbers and what has a length.
 */

export type Field =
  | { readonly number: number; readonly value: bigint; readonly bytes: null }
  | { readonly number: number; readonly value: null; readonly bytes: Uint8Array }

export class WireError extends Error {
  readonly code = 'MUSTER_E_WIRE'
}

/** @throws WireError */
export function readFields(bytes: Uint8Array): Field[] {
  const fields: Field[] = []
  let at = 0
  const varint = (): bigint => {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++]
      if (byte === undefined) throw new WireError('the message ends within a number')
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asUintN(64, value)
    }
    throw new WireError('a number is too long')
  }
  const take = (length: number): Uint8Array => {
    if (length > bytes.length - at) throw new WireError('the message ends within a field')
    at += length
    return bytes.subarray(at - length, at)
  }
  while (at < bytes.length) {
    const tag = varint()
    const number = Number(tag >> 3n)
    switch (Number(tag & 7n)) {
      case 0:
        fields.push({ number, value: varint(), bytes: null })
        break
      case 1:
        fields.push({ number, value: null, bytes: take(8) })
        break
      case 2:
        fields.push({ number, value: null, bytes: take(Number(varint())) })
        break
      case 5:
        fields.push({ number, value: null, bytes: take(4) })
        break
      default:
        throw new WireError('a field of a kind that there is not')
    }
  }
  return fields
}

/** A message of one number. */
export const numberField = (number: number, value: bigint): Uint8Array =>
  Uint8Array.from([...varintOf(BigInt(number) << 3n), ...varintOf(value)])

/** A message of one string or submessage. */
export const bytesField = (number: number, bytes: Uint8Array): Uint8Array =>
  Uint8Array.from([...varintOf((BigInt(number) << 3n) | 2n), ...varintOf(BigInt(bytes.length)), ...bytes])

function varintOf(value: bigint): number[] {
  const bytes: number[] = []
  let rest = BigInt.asUintN(64, value)
  do {
    const low = Number(rest & 0x7fn)
    rest >>= 7n
    bytes.push(rest === 0n ? low : low | 0x80)
  } while (rest !== 0n)
  return bytes
}

/** The last value of a number, 0 where the sender left out what has its default. */
export const numberAt = (fields: readonly Field[], number: number): bigint =>
  fields.findLast((field) => field.number === number)?.value ?? 0n

export const textsAt = (fields: readonly Field[], number: number): string[] =>
  messagesAt(fields, number).map((bytes) => new TextDecoder().decode(bytes))

export const messagesAt = (fields: readonly Field[], number: number): Uint8Array[] =>
  fields.flatMap((field) => (field.number === number && field.bytes !== null ? [field.bytes] : []))
