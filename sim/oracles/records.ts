/** Rule 2 of records: no sequence number is signed twice with different words, nor before it is reserved on disk. */
import type { NodeId } from '../../src/core/ids.ts'
import type { SignedRecord } from '../../src/core/record.ts'
import { contentOf } from './contents.ts'
import type { Oracle, Violate } from './watch.ts'

export function createRecordOracle(violate: Violate): Oracle {
  const last = new Map<NodeId, SignedRecord>()
  return {
    sent: (machine, _to, message) => {
      if (message.kind !== 'records') return
      const { id } = machine.keys
      const own = message.records.find((signed) => signed.record.id === id)
      const before = last.get(id)
      if (own === undefined || own === before) return
      const { seq } = own.record
      if (seq > (machine.disk.durable?.seq ?? -1))
        violate(2, `${id} signed record ${seq}, which is not reserved on its disk`)
      if (before?.record.seq === seq && contentOf(before.record) !== contentOf(own.record)) {
        violate(2, `${id} signed record ${seq} twice`)
      }
      if (before === undefined || seq > before.record.seq) last.set(id, own)
    },
  }
}
