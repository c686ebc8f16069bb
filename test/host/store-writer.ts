/** For store.test.ts: saves the numbers from the next full hundred on, and says which are on the disk. */
import { openStore } from '../../src/host/store.ts'

const directory = process.argv[2]
if (directory === undefined) throw new Error('usage: store-writer.ts DIRECTORY')

const parse = (value: unknown): { n: number } => {
  if (typeof value === 'object' && value !== null && 'n' in value && typeof value.n === 'number') {
    return { n: value.n }
  }
  throw new Error('not what this writes')
}

const store = await openStore(directory, { version: 1, parse })
const loaded = store.load()
if (loaded.kind === 'damaged') throw new Error(loaded.what)
const first = loaded.kind === 'state' ? Math.ceil((loaded.value.n + 1) / 100) * 100 : 0
for (let n = first; ; n++) {
  await store.save({ n })
  process.stdout.write(`saved ${n}\n`)
}
